//! Which files there are: the splits of a files source.

use std::path::{Component, Path, PathBuf};

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

    /// The files there are now, in the order of their names: one split each.
    ///
    /// A file's identity, under which its position is kept, is its path below the pattern's folder: `2013/a.csv` for `in/*/*.csv`.
    /// So a project that is moved with its files goes on where it was. A file that is elsewhere, where a link leads to, has its
    /// full path. Within the folder a file that is moved is read anew; one that takes the name of another is an operator's matter,
    /// as when the pattern comes to name another folder, unless both begin with the same bytes.
    pub async fn splits(&self) -> Result<Vec<String>> {
        let config = self.clone();
        let listed = tokio::task::spawn_blocking(move || config.list()).await;
        listed.map_err(|error| Fault::fatal(Code::Internal, "listing files panicked").because(error))?
    }

    fn list(&self) -> Result<Vec<String>> {
        let pattern = self.path.to_string_lossy();
        let found = glob::glob(&pattern).map_err(|error| self.bad_pattern(error))?;
        let folder = self.folder();
        let folder = folder.canonicalize().unwrap_or(folder);
        let mut splits = Vec::new();
        for path in found {
            let path = path.map_err(|error| unreadable(error.path(), "the folder can't be listed").because(error.to_string()))?;
            if path.is_file() {
                splits.push(name(&path, &folder)?);
            }
        }
        splits.sort_unstable();
        splits.dedup();
        Ok(splits)
    }

    /// The path of a split.
    pub(super) fn path_of(&self, split: &str) -> PathBuf {
        self.folder().join(split)
    }

    /// The folder that the pattern is about: what stands before its first `*`, `?` or `[`, without the last name.
    fn folder(&self) -> PathBuf {
        let is_fixed = |name: &Component<'_>| !name.as_os_str().to_string_lossy().contains(['*', '?', '[']);
        let folders = self.path.parent().into_iter().flat_map(Path::components);
        Path::new(".").components().chain(folders).take_while(is_fixed).collect()
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

/// A file's path below the folder, or its full path.
fn name(path: &Path, folder: &Path) -> Result<String> {
    let full = path.canonicalize().map_err(|error| unreadable(path, "it can't be found").because(error))?;
    let name = full.strip_prefix(folder).unwrap_or(&full);
    name.to_str().map(str::to_owned).ok_or_else(|| unreadable(path, "its name is not UTF-8"))
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
        assert_eq!(config(&folder.path().join("*.csv")).splits().await.expect("lists"), ["a.csv", "b.csv"]);
    }

    #[tokio::test]
    async fn files_keep_their_names_when_the_project_is_moved() {
        let place = tempfile::tempdir().expect("a folder");
        let [here, there] = ["here", "there"].map(|name| place.path().join(name));
        std::fs::create_dir_all(here.join("in/2013")).expect("makes folders");
        std::fs::write(here.join("in/2013/a.csv"), "").expect("writes");
        std::fs::write(here.join("in/b.csv"), "").expect("writes");
        let listed = async |folder: &Path| config(&folder.join("in/**/*.csv")).splits().await.expect("lists");
        assert_eq!(listed(&here).await, ["2013/a.csv", "b.csv"]);
        std::fs::rename(&here, &there).expect("moves");
        assert_eq!(listed(&there).await, ["2013/a.csv", "b.csv"]);
        assert_eq!(config(&there.join("in/**/*.csv")).path_of("2013/a.csv"), there.join("in/2013/a.csv"));
    }

    #[tokio::test]
    async fn a_file_that_a_link_leads_to_is_one_split_wherever_it_is() {
        let (folder, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let far = elsewhere.path().canonicalize().expect("is there").join("far.csv");
        for file in [&folder.path().join("a.csv"), &far] {
            std::fs::write(file, "").expect("writes");
        }
        for (link, file) in [("b.csv", Path::new("a.csv")), ("c.csv", &far)] {
            std::os::unix::fs::symlink(file, folder.path().join(link)).expect("links");
        }
        let config = config(&folder.path().join("*.csv"));
        let far = far.to_str().expect("UTF-8");
        assert_eq!(config.splits().await.expect("lists"), [far, "a.csv"]);
        assert_eq!(config.path_of(far), Path::new(far));
    }

    #[test]
    fn the_folder_of_a_pattern_has_no_pattern_in_it() {
        let folder = |pattern: &str| config(Path::new(pattern)).folder();
        assert_eq!(folder("/p/in/*.csv"), Path::new("/p/in"));
        assert_eq!(folder("/p/20[12]?/**/a*/b.csv"), Path::new("/p"));
        assert_eq!(folder("in/a.csv"), Path::new("./in"));
        assert_eq!(folder("*.csv"), Path::new("."));
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
