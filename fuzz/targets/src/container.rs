//! Avro container files.

use std::io::Cursor;
use std::sync::LazyLock;

use millrace_model::Schema;
use millrace_runtime::codec::container::Container;
use millrace_runtime::formats::AvroFile;
use millrace_runtime::formats::blocks::{Blocks as _, Opening};

use crate::samples::{nested, schema};

/// What a container may inflate to.
const LIMIT: usize = 1 << 20;
/// How many records are read of a file.
const MOST: usize = 10_000;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| schema(&nested()));

/// Takes a container apart, and reads it as a file.
pub fn container(data: &[u8]) {
    if let Ok(blocks) = Container::open(data).and_then(|mut container| container.blocks(LIMIT)) {
        assert!(blocks.iter().map(|block| block.bytes.len()).sum::<usize>() <= LIMIT);
    }
    let opening = Opening { topic: "fuzz".into(), from: 0, limit: 10_000 };
    let Ok(mut file) = AvroFile::open(Box::new(Cursor::new(data.to_vec())), &SCHEMA, opening) else { return };
    let mut records = 0;
    // A file may honestly inflate to more records than there is time for.
    while records < MOST {
        let Ok(Some(block)) = file.next(100) else { return };
        assert!(block.batch.len() + block.rejected.len() > 0, "a block has records");
        records += block.batch.len() + block.rejected.len();
    }
}
