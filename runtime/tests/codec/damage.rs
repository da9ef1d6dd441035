use super::sample::{Kind, record};
use super::*;
use millrace_model::Code;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// What is done to the value of one record.
#[derive(Debug, Clone)]
enum Damage {
    Truncated(Index),
    Followed(Vec<u8>),
    Twice,
    Magic(u8),
    Short(usize),
    UnknownSchema(u32),
    Noise(Vec<u8>),
    Flipped(Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<Index>().prop_map(Damage::Truncated),
        vec(any::<u8>(), 1..9).prop_map(Damage::Followed),
        Just(Damage::Twice),
        (1_u8..).prop_map(Damage::Magic),
        (0_usize..5).prop_map(Damage::Short),
        (2_u32..).prop_map(Damage::UnknownSchema),
        vec(any::<u8>(), 0..60).prop_map(Damage::Noise),
        (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Damage::Flipped(at, bit)),
    ]
}

impl Damage {
    fn to(&self, good: &[u8]) -> Vec<u8> {
        let mut value = good.to_vec();
        match self {
            Self::Truncated(at) => value.truncate(5 + at.index(good.len() - 5)),
            Self::Followed(bytes) => value.extend(bytes),
            Self::Twice => value.extend(good),
            Self::Magic(magic) => value[0] = *magic,
            Self::Short(length) => value.truncate(*length),
            Self::UnknownSchema(id) => value[1..5].copy_from_slice(&id.to_be_bytes()),
            Self::Noise(bytes) => value.splice(5.., bytes.iter().copied()).for_each(drop),
            Self::Flipped(at, bit) => value[5 + at.index(good.len() - 5)] ^= 1 << bit,
        }
        value
    }

    /// What the record is rejected as; noise may be a value by chance.
    fn code(&self) -> Option<Code> {
        match self {
            Self::Truncated(_) | Self::Followed(_) | Self::Twice => Some(Code::AvroInvalid),
            Self::Magic(_) | Self::Short(_) => Some(Code::FramingInvalid),
            Self::UnknownSchema(_) => Some(Code::SchemaUnknown),
            Self::Noise(_) | Self::Flipped(..) => None,
        }
    }
}

fn sample() -> impl Strategy<Value = (Kind, Vec<Value>, Vec<(Index, Damage)>)> {
    record().prop_flat_map(|kind| {
        let values = vec(kind.value(), 1..12);
        (Just(kind), values, vec((any::<Index>(), damage()), 1..4))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_bad_record_changes_no_other_row_nor_its_origin((kind, values, damages) in sample()) {
        let avro = Avro::parse(&kind.json()).expect("is a schema");
        let schema = millrace_runtime::codec::schema(kind.json()).expect("is carried");
        let good: Vec<Vec<u8>> = values.into_iter().map(|value| framed(1, &avro, value)).collect();
        let clean = decode(&schema, &records(good.iter().map(Some))).batch;

        let mut bad = good.clone();
        let mut code = vec![None; good.len()];
        for (at, damage) in &damages {
            let at = at.index(good.len());
            bad[at] = damage.to(&good[at]);
            code[at] = Some(damage.code());
        }
        let decoded = decode(&schema, &records(bad.iter().map(Some)));

        let rejected: Vec<u32> = decoded.rejected.iter().map(|rejection| rejection.record).collect();
        let expected: Vec<u32> = (0..good.len() as u32).filter(|record| !rejected.contains(record)).collect();
        prop_assert_eq!(decoded.batch.origin().rows(), &expected);
        for rejection in &decoded.rejected {
            let damage = code[rejection.record as usize];
            prop_assert!(damage.is_some(), "{rejection:?} was a good record");
            prop_assert!(damage.flatten().is_none_or(|code| code == rejection.code), "{rejection:?}");
        }
        for (record, code) in code.iter().enumerate().filter_map(|(record, code)| Some((record, code.as_ref()?))) {
            prop_assert!(code.is_none() || rejected.contains(&(record as u32)), "{code:?} was taken");
        }
        for (row, &record) in expected.iter().enumerate().filter(|(_, record)| code[**record as usize].is_none()) {
            let (found, clean) = (decoded.batch.slice(row, 1), clean.slice(record as usize, 1));
            prop_assert_eq!(found.columns(), clean.columns());
        }
    }
}

fn text(value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 1, value.len() as u8 * 2];
    bytes.extend(value);
    bytes
}

#[test]
fn strings_that_are_utf8_only_together_are_each_rejected() {
    let schema = millrace_runtime::codec::schema(Kind::Record(vec![Kind::Plain("string")]).json()).expect("is carried");
    let values = [text("æ".as_bytes()), text(&[0xc3]), text(&[0xa6]), text(b"last")];
    let decoded = decode(&schema, &records(values.iter().map(Some)));
    assert_eq!(decoded.batch.origin().rows(), [0, 3]);
    assert_eq!(
        decoded.rejected.iter().map(|rejection| (rejection.record, rejection.code)).collect::<Vec<_>>(),
        [(1, Code::AvroInvalid), (2, Code::AvroInvalid)]
    );
    assert!(decoded.rejected[0].reason.contains("`f0`") && decoded.rejected[0].reason.contains("UTF-8"), "{:?}", decoded.rejected);
}

#[test]
fn a_record_without_a_value_is_a_tombstone_and_an_empty_value_is_misframed() {
    let schema = millrace_runtime::codec::schema(Kind::Record(vec![Kind::Plain("string")]).json()).expect("is carried");
    let decoded = decode(&schema, &records([Some(text(b"a")), None, Some(vec![]), Some(text(b"b"))]));
    assert_eq!(decoded.tombstones, [1]);
    assert_eq!(decoded.batch.origin().rows(), [0, 3]);
    assert_eq!((decoded.rejected[0].record, decoded.rejected[0].code), (2, Code::FramingInvalid));
}

#[test]
fn when_no_record_is_good_the_batch_is_empty_and_of_the_schema() {
    let schema = millrace_runtime::codec::schema(Kind::Record(vec![Kind::Plain("string")]).json()).expect("is carried");
    let decoded = decode(&schema, &records([Some(vec![1, 2, 3]), None]));
    assert!(decoded.batch.is_empty());
    assert_eq!(decoded.batch.columns().schema(), schema.arrow().clone());
}
