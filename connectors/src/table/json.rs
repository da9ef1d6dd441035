//! Nested values as JSON text: lists are arrays, records and maps are objects, bytes are hexadecimal, UUIDs have
//! their usual form, decimals are numbers, dates and times are ISO 8601 text. A NaN or an infinity inside one
//! is null, for JSON has none.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, FixedSizeBinaryArray};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow_json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderFactory};
use uuid::Uuid;

use super::kind::is_uuid;

static OPTIONS: LazyLock<EncoderOptions> =
    LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(Uuids)));

/// Writes the values of one nested column as JSON.
pub(crate) struct JsonText<'a>(NullableEncoder<'a>);

impl<'a> JsonText<'a> {
    /// For the values of `array`, which is the column of `field`.
    pub(crate) fn new(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self, ArrowError> {
        make_encoder(field, array, &OPTIONS).map(Self)
    }

    /// Appends the value of `row`, which is not null.
    pub(crate) fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        self.0.encode(row, out);
    }
}

/// Whether JSON text that the encoder wrote holds the character U+0000: an escape whose backslash is not itself escaped.
pub(crate) fn holds_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        if rest[at + 1..].starts_with(b"u0000") {
            return true;
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

#[derive(Debug)]
struct Uuids;

impl EncoderFactory for Uuids {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if *array.data_type() != DataType::FixedSizeBinary(16) || !is_uuid(field) {
            return Ok(None);
        }
        let encoder = Box::new(UuidEncoder(array.as_fixed_size_binary()));
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct UuidEncoder<'a>(&'a FixedSizeBinaryArray);

impl Encoder for UuidEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        write_uuid(self.0.value(row), out);
        out.push(b'"');
    }
}

/// Appends 16 bytes as a UUID with hyphens, in lower case.
pub(crate) fn write_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    let mut text = Uuid::encode_buffer();
    let uuid = Uuid::from_slice(bytes).unwrap_or_default();
    out.extend_from_slice(uuid.hyphenated().encode_lower(&mut text).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Array, StringArray, StructArray};
    use arrow::datatypes::Field;

    fn json(array: &ArrayRef, row: usize) -> String {
        let field = Arc::new(Field::new("c", array.data_type().clone(), true));
        let mut out = Vec::new();
        JsonText::new(&field, array).expect("has an encoder").write(row, &mut out);
        String::from_utf8(out).expect("is text")
    }

    #[test]
    fn a_record_keeps_its_nulls_and_its_uuids() {
        let id = Field::new("id", DataType::FixedSizeBinary(16), false).with_metadata([("logicalType".into(), "uuid".into())].into());
        let ids: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16]].into_iter()).expect("16 bytes"));
        let counts: ArrayRef = Arc::new(Int32Array::from(vec![None::<i32>]));
        let count = Field::new("count", DataType::Int32, true);
        let array: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(id), ids), (Arc::new(count), counts)]));
        assert_eq!(json(&array, 0), r#"{"id":"11111111-1111-1111-1111-111111111111","count":null}"#);
    }

    #[test]
    fn a_nul_is_told_from_a_backslash_before_its_digits() {
        let array: ArrayRef = Arc::new(StringArray::from(vec!["a\0b", "a\\u0000b", "\\\\\0"]));
        assert!(holds_nul(json(&array, 0).as_bytes()));
        assert!(!holds_nul(json(&array, 1).as_bytes()));
        assert!(holds_nul(json(&array, 2).as_bytes()));
    }
}
