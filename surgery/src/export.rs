//! Letters in files: for other tools, and for editors.

mod container;
mod form;

use std::fs;
use std::path::Path;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::formats::render;
use millrace_runtime::registry::Registry;
use serde_json::Value;

use crate::letters::Letter;
use crate::values;

pub use container::avro;
pub(crate) use container::letters as of_container;
pub(crate) use form::Exported;

/// A line of JSON for each letter: the place, what the headers say, and the original with all its headers. Bytes are text where they are
/// UTF-8, else base64; where the value is Avro, `decoded` shows it.
pub async fn json_lines(letters: &[Letter], registry: &Registry) -> Result<Vec<Value>> {
    let dead: Vec<&DeadLetter> = letters.iter().map(|letter| &letter.letter).collect();
    let mut decoded = decoded(&dead, registry).await?;
    letters.iter().zip(&mut decoded).map(|(letter, decoded)| line(letter, std::mem::take(decoded))).collect()
}

fn line(letter: &Letter, decoded: Option<Value>) -> Result<Value> {
    let json = |error| Fault::fatal(Code::Internal, "a dead letter is JSON").because(error);
    let mut line = serde_json::to_value(Exported::of(&letter.letter)).map_err(json)?;
    if let Some(decoded) = decoded {
        line["decoded"] = decoded;
    }
    if let Some(resolution) = &letter.resolution {
        line["resolved"] = serde_json::to_value(resolution).map_err(json)?;
    }
    Ok(line)
}

/// The values of letters as JSON, where they are Avro of a known schema.
pub async fn decoded(letters: &[&DeadLetter], registry: &Registry) -> Result<Vec<Option<Value>>> {
    let mut decoded: Vec<Option<Value>> = vec![None; letters.len()];
    for avro in values::read(letters, registry).await?.avro {
        for (index, row) in avro.letters.into_iter().zip(render(&avro.columns)?) {
            decoded[index] = Some(row);
        }
    }
    Ok(decoded)
}

/// A folder with two or three files for each letter: `.value` and `.key` as the bytes were, and `.json` with everything else. The value can
/// be mended with any editor, and the folder replayed.
pub fn raw(letters: &[Letter], folder: &Path) -> Result<()> {
    make(folder)?;
    for Letter { letter, .. } in letters {
        let place = &letter.place;
        let name = format!("{}-{}-{}", place.topic, place.partition, place.offset);
        for (part, bytes) in [("key", &letter.key), ("value", &letter.value)] {
            if let Some(bytes) = bytes {
                write(&folder.join(format!("{name}.{part}")), bytes)?;
            }
        }
        let described = serde_json::to_vec_pretty(&Exported::without_bytes(letter));
        let described = described.map_err(|error| Fault::fatal(Code::Internal, "a dead letter is JSON").because(error))?;
        write(&folder.join(format!("{name}.json")), &described)?;
    }
    Ok(())
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| Fault::operator(Code::Io, format!("{} can't be made", folder.display())).because(error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|error| Fault::operator(Code::Io, format!("{} can't be written", path.display())).because(error))
}
