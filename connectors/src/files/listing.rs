//! Which files there are: the splits of a files source.

use std::path::{Path, PathBuf};

use millrace_model::{Code, Fault, Result, Schema};
use millrace_runtime::formats::JsonReader;

use super::config::{Config, Format};

impl Config {
    /// Whether files can be read by `schema`, as far as can be said without I/O.
    pub fn check(&self, schema: &Schema) -> Result<()> {
        self.delimiter_byte()?;
        glob::Pattern::new(&self.path.to_string_lossy()).map_err(|error| self.bad_pattern(error))?;
        JsonReader::new(schema).map(|_| ())
    }

    /// The files there are now, as full paths in their order: one split each.
    ///
    /// A full path is a file's identity: its position is kept under it, so a file that is moved is read anew.
    pub async fn splits(&self) -> Result<Vec<String>> {
        let config = self.clone();
        let listed = tokio::task::spawn_blocking(move || config.list()).await;
        listed.map_err(|error| Fault::fatal(Code::Internal, "listing files panicked").because(error))?
    }

    fn list(&self) -> Result<Vec<String>> {
        let pattern = self.path.to_string_lossy();
        let found = glob::glob(&pattern).map_err(|error| self.bad_pattern(error))?;
        let mut splits = Vec::new();
        for path in found {
            let path = path.map_err(|error| unreadable(error.path(), "the folder can't be listed").because(error.to_string()))?;
            if path.is_file() {
                splits.push(full_path(&path)?);
            }
        }
        splits.sort_unstable();
        splits.dedup();
        Ok(splits)
    }

    /// What a file is: as the configuration says, else as its extension does.
    pub(super) fn format_of(&self, path: &Path) -> Result<Format> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Format::Csv),
            Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
            _ => Err(unreadable(path, "its extension does not say what it is; set `format: csv` or `format: ndjson`")),
        }
    }

    pub(super) fn delimiter_byte(&self) -> Result<u8> {
        u8::try_from(self.delimiter).ok().filter(u8::is_ascii).ok_or_else(|| {
            let message =
                format!("the delimiter `{}` is not one of the ASCII characters; a CSV file has a byte between fields", self.delimiter);
            Fault::operator(Code::ProjectSyntax, message)
        })
    }

    fn bad_pattern(&self, error: glob::PatternError) -> Fault {
        Fault::operator(Code::ProjectSyntax, format!("`{}` is not a path or a pattern of paths", self.path.display())).because(error)
    }
}

fn full_path(path: &Path) -> Result<String> {
    let full: PathBuf = path.canonicalize().map_err(|error| unreadable(path, "it can't be found").because(error))?;
    full.into_os_string().into_string().map_err(|name| unreadable(Path::new(&name), "its name is not UTF-8"))
}

/// A file, or a folder, that can't be read: an operator's matter, except that the next look may find it mended.
pub(super) fn unreadable(path: &Path, why: &str) -> Fault {
    Fault::operator(Code::FileUnreadable, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(path: &Path) -> Config {
        serde_json::from_value(json!({ "path": path })).expect("a configuration")
    }

    #[tokio::test]
    async fn a_pattern_finds_files_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.csv", "a.csv", "c.txt"] {
            std::fs::write(folder.path().join(name), "").expect("writes");
        }
        std::fs::create_dir(folder.path().join("d.csv")).expect("makes a folder");
        let splits = config(&folder.path().join("*.csv")).splits().await.expect("lists");
        let names: Vec<_> = splits.iter().filter_map(|split| Path::new(split).file_name()).collect();
        assert_eq!(names, ["a.csv", "b.csv"]);
    }

    #[tokio::test]
    async fn a_path_that_is_not_there_yet_is_no_fault() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(config(&folder.path().join("later.csv")).splits().await.expect("lists").is_empty());
    }

    #[test]
    fn the_extension_says_what_a_file_is() {
        let config = config(Path::new("in/*"));
        assert_eq!(config.format_of(Path::new("a.csv")).expect("known"), Format::Csv);
        assert_eq!(config.format_of(Path::new("a.jsonl")).expect("known"), Format::Ndjson);
        assert!(config.format_of(Path::new("a.txt")).expect_err("unknown").message().contains("set `format: csv`"));
    }
}
