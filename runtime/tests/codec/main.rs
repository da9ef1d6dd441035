//! The codec against apache-avro: what the one writes the other reads, and what is damaged harms no other record.

mod damage;
mod evolution;
mod hostile;
mod round_trip;
mod sample;
mod schemas;

use std::sync::Arc;

use apache_avro::Schema as Avro;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use arrow::array::RecordBatch;
use millrace_model::{Record, Records, RecordsBuilder, Schema};
use millrace_runtime::codec::{Decoded, Decoder, Encoder};

fn framed(id: u32, avro: &Avro, value: Value) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    let writer = GenericDatumWriter::builder(avro).build().expect("has a writer");
    bytes.extend(writer.write_value_to_vec(value).expect("is a value of its schema"));
    bytes
}

fn read(avro: &Avro, reader: Option<&Avro>, value: &[u8]) -> Result<Value, apache_avro::Error> {
    let mut body = &value[5..];
    let value = GenericDatumReader::builder(avro).maybe_reader_schema(reader).build()?.read_value(&mut body)?;
    assert!(body.is_empty(), "{} bytes are left", body.len());
    Ok(value)
}

fn records<V: AsRef<[u8]>>(values: impl IntoIterator<Item = Option<V>>) -> Arc<Records> {
    let mut builder = RecordsBuilder::new("topic".into(), 16);
    for (value, offset) in values.into_iter().zip(0..) {
        let value = value.as_ref().map(AsRef::as_ref);
        builder.push(&Record { topic: "topic", partition: 0, offset, timestamp: offset, key: None, value, headers: &[] });
    }
    Arc::new(builder.finish())
}

/// Decodes records of which those of schema 1 are written as the reader's own schema.
fn decode(reader: &Schema, records: &Arc<Records>) -> Decoded {
    let mut decoder = Decoder::new(reader).expect("has a decoder");
    for id in decoder.unknown_ids(records) {
        decoder.learn(id, (id == 1).then_some(reader.text()));
    }
    decoder.decode(records).expect("decodes")
}

fn encode(schema: &Schema, columns: &RecordBatch) -> Vec<Vec<u8>> {
    let encoded = Encoder::new(schema, 1).expect("has an encoder").encode(columns).expect("encodes");
    (0..encoded.len()).map(|row| encoded.value(row).to_vec()).collect()
}
