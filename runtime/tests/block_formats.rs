//! Block formats: files that other implementations wrote (`scripts/fixtures/format_fixtures.py`), whole and damaged.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use millrace_model::{Code, Result, Schema};
use millrace_runtime::codec;
use millrace_runtime::formats::blocks::{Blocks, Opening};
use millrace_runtime::formats::{AvroFile, ParquetFile, Sheet, SheetOptions, render};
use serde_json::{Value, json};

const PARQUET: &[u8] = include_bytes!("fixtures/formats/orders.parquet");
const XLSX: &[u8] = include_bytes!("fixtures/formats/orders.xlsx");
const XLS: &[u8] = include_bytes!("fixtures/formats/orders.xls");
const ODS: &[u8] = include_bytes!("fixtures/formats/orders.ods");

fn schema() -> Schema {
    let fields = json!([
        { "name": "id", "type": "long" },
        { "name": "customer", "type": "string" },
        { "name": "quantity", "type": "int" },
        { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 } },
        { "name": "day", "type": { "type": "int", "logicalType": "date" } },
        { "name": "at", "type": { "type": "long", "logicalType": "local-timestamp-millis" } },
        { "name": "paid", "type": "boolean" },
        { "name": "note", "type": ["null", "string"], "default": null },
        { "name": "shop", "type": "string", "default": "web" },
    ]);
    codec::schema(json!({ "type": "record", "name": "Order", "fields": fields })).expect("a schema")
}

fn opening(from: u64) -> Opening {
    Opening { topic: "file:orders".into(), from, limit: 10_000 }
}

fn parquet(bytes: &[u8], from: u64) -> Result<Box<dyn Blocks>> {
    Ok(Box::new(ParquetFile::open(Box::new(Cursor::new(bytes.to_vec())), &schema(), opening(from))?))
}

const AVRO: [&[u8]; 4] = [
    include_bytes!("fixtures/formats/orders-null.avro"),
    include_bytes!("fixtures/formats/orders-deflate.avro"),
    include_bytes!("fixtures/formats/orders-snappy.avro"),
    include_bytes!("fixtures/formats/orders-zstandard.avro"),
];

fn avro(bytes: &[u8], from: u64) -> Result<Box<dyn Blocks>> {
    Ok(Box::new(AvroFile::open(Box::new(Cursor::new(bytes.to_vec())), &schema(), opening(from))?))
}

fn sheet(bytes: &[u8], from: u64) -> Result<Box<dyn Blocks>> {
    let options = SheetOptions { sheet: Some("Orders".into()), ..SheetOptions::default() };
    Ok(Box::new(Sheet::open(Box::new(Cursor::new(bytes.to_vec())), &schema(), &options, opening(from))?))
}

/// Each record as JSON, or why it was rejected, with its original.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Row(Value),
    Rejected(String, Value),
}

fn read(blocks: &mut dyn Blocks, rows: usize) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    while let Some(block) = blocks.next(rows)? {
        let records = block.batch.origin().records();
        let rendered = render(block.batch.columns())?.into_iter().map(Seen::Row);
        let good = block.batch.origin().rows().iter().copied().zip(rendered);
        let bad = block.rejected.iter().map(|rejection| {
            let original = records.value(rejection.record as usize).expect("has an original");
            (rejection.record, Seen::Rejected(rejection.reason.clone(), serde_json::from_slice(original).expect("is JSON")))
        });
        let mut all: Vec<(u32, Seen)> = good.chain(bad).collect();
        all.sort_by_key(|(record, _)| *record);
        seen.extend(all.into_iter().map(|(_, seen)| seen));
        assert_eq!(block.next, records.offsets().last().map_or(0, |&offset| offset as u64 + 1));
    }
    Ok(seen)
}

fn order(number: u64) -> Value {
    json!({
        "id": number, "customer": format!("customer {number}"), "quantity": number * 2, "price": format!("{}.{:02}", number * 1050 / 100, number * 1050 % 100),
        "day": format!("2013-01-{number:02}"), "at": format!("2013-01-{number:02}T17:05:30"), "paid": number % 2 == 1,
        "note": if number % 2 == 1 { Value::Null } else { format!("note {number}").into() }, "shop": "web",
    })
}

type Open = fn(&[u8], u64) -> Result<Box<dyn Blocks>>;

const FORMATS: [(&str, &[u8], Open, &str); 4] = [
    ("parquet", PARQUET, parquet, "row 4"),
    ("xlsx", XLSX, sheet, "sheet \"Orders\", row 5"),
    ("xls", XLS, sheet, "sheet \"Orders\", row 5"),
    ("ods", ODS, sheet, "sheet \"Orders\", row 5"),
];

#[test]
fn files_of_other_writers_are_read_and_a_bad_row_is_rejected_alone() {
    for (name, bytes, open, place) in FORMATS {
        let seen = read(open(bytes, 0).expect("opens").as_mut(), 2).expect("reads");
        assert_eq!(seen.len(), 5, "{name}");
        for number in [1, 2, 3, 5] {
            assert_eq!(seen[number - 1], Seen::Row(order(number as u64)), "{name}");
        }
        let Seen::Rejected(reason, original) = &seen[3] else { panic!("{name}: {:?}", seen[3]) };
        assert_eq!(*reason, format!("{place}: quantity: expected int, found number 3000000000, which is out of range"), "{name}");
        assert_eq!((&original["id"], &original["quantity"]), (&json!(4), &json!(3_000_000_000_u64)), "{name}");
    }
}

#[test]
fn reading_goes_on_from_every_record() {
    for (name, bytes, open, _) in FORMATS {
        let all = read(open(bytes, 0).expect("opens").as_mut(), 9).expect("reads");
        for from in 0..=5 {
            let seen = read(open(bytes, from).expect("opens").as_mut(), 2).expect("reads");
            assert_eq!(seen, all[from as usize..], "{name} from {from}");
        }
    }
}

#[test]
fn a_file_that_is_cut_off_or_another_one_is_damaged() {
    for (name, bytes, open, _) in FORMATS {
        let attempts = [
            &bytes[..bytes.len() / 2],
            &bytes[..10],
            b"",
            b"PAR1",
            b"PK\x03\x04",
            b"id,customer\n1,a\n",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        ];
        for attempt in attempts {
            let seen = open(attempt, 0).and_then(|mut blocks| read(blocks.as_mut(), 9));
            let fault = seen.expect_err("is damaged");
            assert_eq!(fault.code(), Code::FileDamaged, "{name}: {fault}");
        }
    }
}

#[test]
fn a_container_is_read_by_any_codec_and_its_schema_is_resolved() {
    for bytes in AVRO {
        let all = read(avro(bytes, 0).expect("opens").as_mut(), 2).expect("reads");
        for number in [1, 2, 3, 5] {
            assert_eq!(all[number - 1], Seen::Row(order(number as u64)));
        }
        let Seen::Rejected(reason, original) = &all[3] else { panic!("{:?}", all[3]) };
        assert!(reason.starts_with("record 4: "), "{reason}");
        assert_eq!((&original["id"], &original["customer"], &original["gone"]), (&json!(4), &Value::Null, &json!({ "a": "b" })));
        for from in 0..=6 {
            assert_eq!(read(avro(bytes, from).expect("opens").as_mut(), 2).expect("reads"), all[(from as usize).min(5)..]);
        }
    }
}

#[test]
fn a_container_that_is_damaged_brings_what_comes_before() {
    for bytes in AVRO {
        for cut in 0..bytes.len() {
            let fault = avro(&bytes[..cut], 0).and_then(|mut blocks| read(blocks.as_mut(), 1)).err();
            assert!(fault.is_none_or(|fault| fault.code() == Code::FileDamaged), "cut off at {cut}");
        }
        let mut damaged = bytes.to_vec();
        *damaged.last_mut().expect("has bytes") ^= 1;
        let mut blocks = avro(&damaged, 0).expect("opens");
        let first = blocks.next(100).expect("reads").expect("has records");
        assert!(!first.batch.is_empty());
        assert_eq!(blocks.next(100).err().map(|fault| fault.code()), Some(Code::FileDamaged));
    }
}

#[test]
fn bytes_behind_the_last_record_of_a_block_are_damage_and_not_passed_over() {
    let fields = json!([{ "name": "id", "type": "int" }]);
    let schema = codec::schema(json!({ "type": "record", "name": "Order", "fields": fields })).expect("a schema");
    // One record where there are the bytes of two.
    let bytes = codec::container::of_one(schema.text(), &[2, 4]);
    let mut blocks = AvroFile::open(Box::new(Cursor::new(bytes)), &schema, opening(0)).expect("opens");
    assert_eq!(blocks.next(100).expect("reads").expect("has a record").batch.len(), 1);
    let fault = blocks.next(100).expect_err("is damaged");
    assert!(fault.code() == Code::FileDamaged && fault.message().contains("1 bytes follow record 1"), "{fault}");
}

#[test]
fn a_container_whose_schema_is_another_one_is_refused_by_it() {
    let schema =
        codec::schema(json!({ "type": "record", "name": "Order", "fields": [{ "name": "id", "type": "string" }] })).expect("a schema");
    let fault = AvroFile::open(Box::new(Cursor::new(AVRO[0])), &schema, opening(0)).expect_err("does not fit");
    assert_eq!(fault.code(), Code::ColumnsUnfit);
    assert!(fault.message().contains("field `id` is written as int and can't be read as string"), "{fault}");
}

#[test]
fn a_column_that_is_missing_is_named() {
    let fields = json!([{ "name": "id", "type": "long" }, { "name": "missing", "type": "string" }]);
    let schema = codec::schema(json!({ "type": "record", "name": "Order", "fields": fields })).expect("a schema");
    let fault = ParquetFile::open(Box::new(Cursor::new(PARQUET)), &schema, opening(0)).expect_err("does not fit");
    assert_eq!(fault.code(), Code::ColumnsUnfit);
    assert!(fault.message().contains("no column `missing`"), "{fault}");
    let options = SheetOptions { sheet: Some("Orders".into()), ..SheetOptions::default() };
    let fault = Sheet::open(Box::new(Cursor::new(XLSX)), &schema, &options, opening(0)).expect_err("does not fit");
    assert!(fault.message().contains("the column `customer` of the sheet is not in the schema"), "{fault}");
}

#[test]
fn a_sheet_is_chosen_by_its_name_or_its_number() {
    let open = |sheet: &str| {
        let options = SheetOptions { sheet: Some(sheet.into()), ..SheetOptions::default() };
        Sheet::open(Box::new(Cursor::new(XLSX)), &schema(), &options, opening(0)).map(|_| ())
    };
    assert!(open("2").is_ok());
    let fault = open("Order").expect_err("no such sheet");
    assert!(fault.message().contains("no sheet Order; it has: Other, Orders"), "{fault}");
}

/// A file on a disk that can't be read from some byte on.
struct Failing {
    file: Cursor<&'static [u8]>,
    from: u64,
}

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = (self.from - self.file.position().min(self.from)) as usize;
        if left == 0 { Err(io::Error::other("the disk is broken")) } else { self.file.by_ref().take(left as u64).read(buffer) }
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[test]
fn a_container_that_can_not_be_read_is_not_taken_for_a_damaged_one() {
    for file in AVRO {
        for from in (0..file.len() as u64).step_by(9) {
            let failing = Failing { file: Cursor::new(file), from };
            let fault = match AvroFile::open(Box::new(failing), &schema(), opening(0)) {
                Ok(mut opened) => std::iter::from_fn(|| opened.next(2).transpose()).find_map(Result::err),
                Err(fault) => Some(fault),
            };
            assert_eq!(fault.map(|fault| fault.code()), Some(Code::FileUnreadable), "from byte {from} on");
        }
    }
}
