//! Which files there are: the splits of a files source.

use std::sync::Arc;
use std::time::Duration;

use millrace_model::{Code, Fault, Position, Records, Result, Schema};
use millrace_runtime::formats::csv::{CsvReader, Dialect};
use millrace_runtime::formats::{JsonReader, Parsed};
use millrace_runtime::resilience::Probe;

use super::config::{After, Compression, Config, Format, Mode};
use super::format::Reading;
use super::position::At;
use super::source::FileSource;
use super::store::{Found, Store, unreadable};
use crate::sources::Split;

/// How often files are listed: on this machine, and elsewhere, where each listing is paid for.
const LOCALLY: Duration = Duration::from_secs(5);
const REMOTELY: Duration = Duration::from_secs(30);

impl Config {
    /// Whether files can be read by `schema`, as far as can be said without I/O.
    pub fn check(&self, schema: &Schema) -> Result<()> {
        if self.format == Some(Format::Xml) {
            self.record_path()?;
        }
        self.delimiter_byte()?;
        self.store()?.check(&self.after)?;
        self.check_growing()?;
        JsonReader::new(schema).map(|_| ())
    }

    /// The files there are now, in the order of their names: one split each.
    ///
    /// A file's identity, under which its position is kept, is its path below the pattern's folder: `2013/a.csv` for `in/*/*.csv`.
    /// So a project that is moved with its files goes on where it was. A file that is elsewhere, where a link leads to, has its
    /// full path; an object has its URL, without a query.
    pub async fn splits(&self) -> Result<Vec<Split>> {
        let mut found = self.store()?.list().await?;
        let follows = self.mode == Mode::Growing;
        if follows {
            drop_rotated(&mut found);
        }
        let split = |found: Found| {
            // What is followed is asked all the time.
            let version = (!follows).then_some(found.facts.version);
            Split { name: found.name, version, bytes: Some(found.facts.bytes) }
        };
        Ok(found.into_iter().map(split).collect())
    }

    /// How long after a listing the next one is due; never when only what was there is read.
    pub fn listing_interval(&self) -> Option<Duration> {
        let usual = if self.path.path().is_some() { LOCALLY } else { REMOTELY };
        let interval = self.interval.map_or(usual, millrace_runtime::project::Millis::duration);
        (self.mode != Mode::Once).then_some(interval)
    }

    /// Opens a split of [`Config::splits`] at `position`, or at its beginning.
    pub fn open(&self, split: &str, schema: &Schema, position: Option<&Position>) -> Result<FileSource> {
        FileSource::new(Arc::new(self.clone()), self.store()?, split, schema, position)
    }

    /// Reads records once more that had been rejected, by what their topic says of their file.
    ///
    /// # Errors
    /// Rows of CSV need the names of their columns, which the position has of a file's last part only.
    pub fn reread(&self, name: &str, schema: &Schema, position: Option<&Position>, records: &Arc<Records>) -> Result<Parsed> {
        let Reading::Csv = self.reading_of(without_generation(name))? else { return JsonReader::new(schema)?.read(records) };
        let known = position.map(At::of).transpose()?.and_then(|at| at.lines.header);
        let Some(names) = known.or_else(|| self.columns.clone()) else {
            let why = "the names of its columns are not known; mend the record into a JSON object";
            return Err(unreadable(name, why));
        };
        CsvReader::new(schema, &names, self.dialect()?)?.read(records)
    }

    pub(super) fn dialect(&self) -> Result<Dialect> {
        Ok(Dialect { delimiter: self.delimiter_byte()?, nulls: self.null.clone() })
    }

    /// Whether files so can be followed as they grow.
    fn check_growing(&self) -> Result<()> {
        let wrong = |why: &str| Err(Fault::operator(Code::ProjectSyntax, format!("`mode: growing` {why}")));
        match self {
            _ if self.mode != Mode::Growing => Ok(()),
            _ if self.path.path().is_none() => wrong("is for files on this machine: an object never grows"),
            _ if self.after != After::Keep => wrong("leaves files where they are: leave `after` out"),
            Self { compression: Some(compression), .. } if *compression != Compression::None => {
                wrong("is for files that are not compressed")
            }
            Self { format: Some(format), .. } if matches!(Reading::from(*format), Reading::Blocks(_)) => wrong("is for CSV and NDJSON"),
            _ => Ok(()),
        }
    }

    /// What asks whether the place of the files is there, where it is one to ask.
    pub fn prober(&self) -> Option<Probe> {
        self.store().ok()?.prober()
    }

    fn store(&self) -> Result<Store> {
        Store::new(&self.path, self.store.as_deref())
    }

    fn delimiter_byte(&self) -> Result<u8> {
        u8::try_from(self.delimiter).ok().filter(u8::is_ascii).ok_or_else(|| {
            let message =
                format!("the delimiter `{}` is not one of the ASCII characters; a CSV file has a byte between fields", self.delimiter);
            Fault::operator(Code::ProjectSyntax, message)
        })
    }
}

/// A name as it was before it became that of another file: `a.csv` of `a.csv#1`.
fn without_generation(name: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once('#').filter(|(_, generation)| is_number(generation)).map_or(name, |(name, _)| name)
}

/// Leaves out what rotation has renamed others to: `app.log.1` beside `app.log`.
fn drop_rotated(found: &mut Vec<Found>) {
    let names: Vec<String> = found.iter().map(|found| found.name.clone()).collect();
    let is_rotated =
        |name: &str| names.iter().any(|other| name.strip_prefix(other.as_str()).is_some_and(|added| added.starts_with(['.', '-', '_'])));
    found.retain(|found| !is_rotated(&found.name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::store::Facts;
    use serde_json::json;

    #[test]
    fn what_rotation_has_renamed_is_left_out() {
        let facts = || Facts { bytes: 1, version: "v".into(), is_whole: true };
        let names = ["app.log", "app.log-20260101", "app.log.1", "apple.log", "other.log.1"];
        let mut found: Vec<Found> = names.iter().map(|name| Found { name: (*name).to_owned(), facts: facts() }).collect();
        drop_rotated(&mut found);
        assert_eq!(found.iter().map(|found| &*found.name).collect::<Vec<_>>(), ["app.log", "apple.log", "other.log.1"]);
    }

    #[test]
    fn what_can_not_be_done_is_refused_before_anything_runs() {
        let schema =
            millrace_runtime::codec::schema(json!({ "type": "record", "name": "T", "fields": [{ "name": "s", "type": "string" }] }))
                .expect("a schema");
        let refused = |settings: serde_json::Value| {
            let config: Config = serde_json::from_value(settings).expect("reads");
            config.check(&schema).expect_err("refused").message().to_owned()
        };
        assert!(refused(json!({ "path": "s3://b/*.csv", "mode": "growing" })).contains("an object never grows"));
        assert!(refused(json!({ "path": "in/*", "mode": "growing", "format": "json" })).contains("is for CSV and NDJSON"));
        assert!(refused(json!({ "path": "in/*", "mode": "growing", "after": "delete" })).contains("leave `after` out"));
        assert!(refused(json!({ "path": "https://h/a.csv", "after": "delete" })).contains("left where they are"));
        assert!(refused(json!({ "path": "s3://b/*.csv", "after": { "move": "s3://c/done" } })).contains("the same place"));
        assert!(refused(json!({ "path": "in/*.csv", "after": { "move": "s3://c/done" } })).contains("a folder of this machine"));
        assert!(refused(json!({ "path": "in/**/*.csv", "after": { "move": "in/done" } })).contains("read again"));
        assert!(refused(json!({ "path": "s3://b/in/*.csv", "after": { "move": "s3://b/in/" } })).contains("read again"));
        assert!(refused(json!({ "path": "in/[", "delimiter": "," })).contains("pattern"));
        assert!(refused(json!({ "path": "in/a", "delimiter": "→" })).contains("ASCII"));
    }
}
