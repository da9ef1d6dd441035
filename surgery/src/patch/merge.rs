//! JSON merge patches (RFC 7396).

use millrace_model::Result;
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::formats::render;
use millrace_runtime::registry::Registry;
use serde_json::Value;

use super::{avro_of, encode, unfit};
use crate::values;

/// The letter's value with `patch` merged into it: Avro in the schema that it was written with, JSON text as JSON text.
pub(super) async fn merged(patch: &Value, letter: &DeadLetter, registry: &Registry) -> Result<Vec<u8>> {
    if let Some(avro) = avro_of(letter, registry).await? {
        let mut row = render(&avro.columns)?.swap_remove(0);
        json_patch::merge(&mut row, patch);
        let columns = encode::read(row.to_string().as_bytes(), &avro.schema)?;
        return encode::row(&columns, &avro.schema, avro.id);
    }
    let text = values::text(letter).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let mut value =
        text.ok_or_else(|| unfit("the value is neither Avro of a known schema nor JSON; give the whole of it by --value FILE"))?;
    json_patch::merge(&mut value, patch);
    Ok(value.to_string().into_bytes())
}
