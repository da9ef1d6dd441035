//! What a registry says that a schema is.

use std::sync::{LazyLock, Mutex, PoisonError};

use millrace_runtime::codec::{self, Decoder};

use crate::samples::{nested, records, schema};

const ID: u32 = 7;

/// A pipeline's decoder, for as long as it runs.
static DECODER: LazyLock<Mutex<Decoder>> = LazyLock::new(|| Mutex::new(Decoder::new(&schema(&nested())).expect("a decoder")));

/// The first line is the answer's schema, the rest a value that is framed with its id.
pub fn registry(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let text = String::from_utf8_lossy(&data[..end]);
    let value = [&[0], &ID.to_be_bytes()[..], data.get(end + 1..).unwrap_or_default()].concat();
    let mut decoder = DECODER.lock().unwrap_or_else(PoisonError::into_inner);
    decoder.forget_id(ID);
    decoder.learn(ID, Some(&text));
    let decoded = decoder.decode(&records([value.as_slice()].into_iter())).expect("decodes");
    assert_eq!(decoded.batch.len() + decoded.rejected.len(), 1, "a record is a row or a rejection");
    let Ok(avro) = serde_json::from_str(&text) else { return };
    let Ok(other) = codec::schema(avro) else { return };
    let mut own = Decoder::new(&other).expect("what is a schema has a decoder");
    own.learn(ID, Some(other.text()));
    let decoded = own.decode(&records([value.as_slice()].into_iter())).expect("decodes");
    assert_eq!(decoded.batch.len() + decoded.rejected.len(), 1, "a record is a row or a rejection");
}
