//! Nested values as JSON text: lists are arrays, records and maps are objects, bytes are hexadecimal, UUIDs have
//! their usual form, decimals are numbers, dates and times are ISO 8601 text. A NaN or an infinity inside one
//! is null, for JSON has none. Of a union there is the value, whatever its branch.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, UnionArray};
use arrow::datatypes::{DataType, FieldRef, UnionFields};
use arrow::error::ArrowError;
use arrow_json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderFactory};
use uuid::Uuid;

use super::kind::is_uuid;

static OPTIONS: LazyLock<EncoderOptions> =
    LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(Encoders)));

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

/// The encoders that arrow-json does not have.
#[derive(Debug)]
struct Encoders;

impl EncoderFactory for Encoders {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        Ok(match array.data_type() {
            DataType::FixedSizeBinary(16) if is_uuid(field_of(field, array)) => {
                Some(NullableEncoder::new(Box::new(UuidEncoder(array.as_fixed_size_binary())), array.nulls().cloned()))
            }
            DataType::Union(branches, _) => {
                let encoder = UnionEncoder::new(branches, array.as_union(), options)?;
                Some(NullableEncoder::new(Box::new(encoder), array.logical_nulls()))
            }
            _ => None,
        })
    }
}

/// The field of `array`'s values: arrow-json gives the items of a list the field of the list.
fn field_of<'a>(field: &'a FieldRef, array: &dyn Array) -> &'a FieldRef {
    match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) if field.data_type() != array.data_type() => field_of(item, array),
        _ => field,
    }
}

/// Values of a union, each by the encoder of its branch.
struct UnionEncoder<'a> {
    values: &'a UnionArray,
    branches: Vec<(i8, NullableEncoder<'a>)>,
}

impl<'a> UnionEncoder<'a> {
    fn new(branches: &'a UnionFields, values: &'a UnionArray, options: &'a EncoderOptions) -> Result<Self, ArrowError> {
        let encoders = branches.iter().map(|(id, branch)| Ok((id, make_encoder(branch, values.child(id).as_ref(), options)?)));
        Ok(Self { values, branches: encoders.collect::<Result<_, ArrowError>>()? })
    }
}

impl Encoder for UnionEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let (branch, value) = (self.values.type_id(row), self.values.value_offset(row));
        match self.branches.iter_mut().find(|(id, _)| *id == branch) {
            Some((_, encoder)) if !encoder.is_null(value) => encoder.encode(value, out),
            _ => out.extend_from_slice(b"null"),
        }
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
    use arrow::array::{ArrayRef, Int32Array, ListArray, NullArray, StringArray, StructArray};
    use arrow::buffer::OffsetBuffer;
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
    fn the_uuids_of_a_list_have_their_usual_form() {
        let item = Field::new("item", DataType::FixedSizeBinary(16), false).with_metadata([("logicalType".into(), "uuid".into())].into());
        let ids = FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16]].into_iter()).expect("16 bytes");
        let list = ListArray::new(Arc::new(item), OffsetBuffer::from_lengths([1]), Arc::new(ids), None);
        assert_eq!(json(&(Arc::new(list) as ArrayRef), 0), r#"["11111111-1111-1111-1111-111111111111"]"#);
    }

    #[test]
    fn of_a_union_there_is_the_value() {
        let branches = [("null", DataType::Null), ("int", DataType::Int32), ("string", DataType::Utf8)];
        let fields = branches.into_iter().zip(0..).map(|((name, kind), id)| (id, Arc::new(Field::new(name, kind, false)))).collect();
        let children: Vec<ArrayRef> =
            vec![Arc::new(NullArray::new(1)), Arc::new(Int32Array::from(vec![7])), Arc::new(StringArray::from(vec!["a"]))];
        let array = UnionArray::try_new(fields, vec![2, 0, 1].into(), Some(vec![0, 0, 0].into()), children).expect("is a union");
        let list = ListArray::new(
            Arc::new(Field::new("item", array.data_type().clone(), true)),
            OffsetBuffer::from_lengths([3]),
            Arc::new(array),
            None,
        );
        assert_eq!(json(&(Arc::new(list) as ArrayRef), 0), r#"["a",null,7]"#);
    }

    #[test]
    fn a_nul_is_told_from_a_backslash_before_its_digits() {
        let array: ArrayRef = Arc::new(StringArray::from(vec!["a\0b", "a\\u0000b", "\\\\\0"]));
        assert!(holds_nul(json(&array, 0).as_bytes()));
        assert!(!holds_nul(json(&array, 1).as_bytes()));
        assert!(holds_nul(json(&array, 2).as_bytes()));
    }
}
