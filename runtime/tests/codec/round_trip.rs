use super::sample::{Kind, record};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

fn sample() -> impl Strategy<Value = (Kind, Vec<Value>)> {
    record().prop_flat_map(|kind| {
        let values = vec(kind.value(), 1..20);
        (Just(kind), values)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_another_implementation_wrote_is_decoded_and_encoded_as_the_same_values((kind, values) in sample()) {
        let avro = Avro::parse(&kind.json()).expect("is a schema");
        let schema = millrace_runtime::codec::schema(kind.json()).expect("is carried");
        let written: Vec<Vec<u8>> = values.iter().map(|value| framed(1, &avro, value.clone())).collect();

        let decoded = decode(&schema, &records(written.iter().map(Some)));
        prop_assert_eq!(&decoded.rejected, &[]);
        prop_assert_eq!(decoded.batch.columns().schema(), schema.arrow().clone());

        let again = encode(&schema, decoded.batch.columns());
        let read: Vec<Value> = again.iter().map(|value| read(&avro, None, value).expect("is readable")).collect();
        prop_assert_eq!(read, values);

        let twice = decode(&schema, &records(again.into_iter().map(Some)));
        prop_assert_eq!(twice.batch.columns(), decoded.batch.columns());
    }
}

/// A part of a batch is encoded as the same rows of the whole are, whatever Arrow's offsets in it are.
#[test]
fn a_slice_is_encoded_as_its_rows() {
    let kind = Kind::Record(vec![
        Kind::Array(Box::new(Kind::Plain("boolean"))),
        Kind::Nullable { value: Box::new(Kind::Map(Box::new(Kind::Plain("boolean")))), null_first: false },
        Kind::Record(vec![Kind::Plain("boolean"), Kind::Enum(3), Kind::Array(Box::new(Kind::Array(Box::new(Kind::Plain("boolean")))))]),
    ]);
    let schema = millrace_runtime::codec::schema(kind.json()).expect("is carried");
    let avro = Avro::parse(&kind.json()).expect("is a schema");
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let values: Vec<Value> = vec(kind.value(), 40).new_tree(&mut runner).expect("has values").current();
    let written: Vec<Vec<u8>> = values.into_iter().map(|value| framed(1, &avro, value)).collect();
    let whole = decode(&schema, &records(written.iter().map(Some))).batch;
    let rows = encode(&schema, whole.columns());
    for (offset, length) in [(1, 39), (3, 30), (9, 1), (17, 0)] {
        assert_eq!(encode(&schema, whole.slice(offset, length).columns()), rows[offset..offset + length]);
    }
}

#[test]
fn an_empty_batch_is_encoded_as_no_rows() {
    let schema = millrace_runtime::codec::schema(Kind::Record(vec![Kind::Plain("int")]).json()).expect("is carried");
    assert!(encode(&schema, &RecordBatch::new_empty(schema.arrow().clone())).is_empty());
}
