//! Files on this machine.

use std::fs::{File, Metadata};
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use millrace_model::{Code, Fault, Result};

use super::quiet::{Quiet, modified};
use super::store::{Facts, Found, Raw, not_handed_out, unreadable};

/// The files that a pattern names.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) pattern: String,
    quiet: Quiet,
}

impl Local {
    pub(super) fn new(pattern: &str) -> Result<Self> {
        let bad = |error| Fault::operator(Code::ProjectSyntax, format!("`{pattern}` is not a path or a pattern of paths")).because(error);
        glob::Pattern::new(pattern).map_err::<Fault, _>(|error: glob::PatternError| bad(error))?;
        Ok(Self { pattern: pattern.to_owned(), quiet: Quiet::default() })
    }

    /// The files there are, in the order of their names.
    pub(super) fn list(&self) -> Result<Vec<Found>> {
        let found = glob::glob(&self.pattern)
            .map_err(|error| Fault::operator(Code::ProjectSyntax, format!("`{}` is not a pattern", self.pattern)).because(error))?;
        let folder = self.folder();
        let folder = folder.canonicalize().unwrap_or(folder);
        let mut files = Vec::new();
        for path in found {
            let path = path.map_err(|error| {
                let place = error.path().display().to_string();
                not_handed_out(&place, "the folder can't be listed", error.into())
            })?;
            // What goes away while it is listed is not there.
            if let Ok(metadata) = path.metadata()
                && metadata.is_file()
            {
                files.push(Found { name: name(&path, &folder)?, facts: self.facts_of(&metadata) });
            }
        }
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        files.dedup_by(|a, b| a.name == b.name);
        Ok(files)
    }

    /// The path of a file by its name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The folder that the pattern is about: what stands before its first `*`, `?` or `[`, without the last name.
    pub(super) fn folder(&self) -> PathBuf {
        let is_fixed = |name: &Component<'_>| !name.as_os_str().to_string_lossy().contains(['*', '?', '[']);
        let folders = Path::new(&self.pattern).parent().into_iter().flat_map(Path::components);
        Path::new(".").components().chain(folders).take_while(is_fixed).collect()
    }

    /// What is known of a file; nothing when it is not there.
    pub(super) fn facts(&self, name: &str) -> Result<Option<Facts>> {
        let path = self.path(name);
        match path.metadata() {
            Ok(metadata) => Ok(Some(self.facts_of(&metadata))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, error)),
        }
    }

    fn facts_of(&self, metadata: &Metadata) -> Facts {
        let version = format!("{:x}-{:x}-{:x}", metadata.ino(), modified(metadata).as_microsecond(), metadata.len());
        Facts { bytes: metadata.len(), version, is_whole: self.is_quiet(metadata) }
    }

    /// Whether nobody has written to the file for a while.
    pub(super) fn is_quiet(&self, metadata: &Metadata) -> bool {
        self.quiet.is_quiet(metadata)
    }

    /// At most `chunk` bytes from an offset on; none at the file's end. The file is opened anew each time, so that thousands of
    /// files that may grow do not hold as many handles.
    pub(super) fn read_at(&self, name: &str, from: u64, chunk: usize) -> Result<Vec<u8>> {
        let path = self.path(name);
        let file = File::open(&path).map_err(|error| failed(&path, error))?;
        let mut text = vec![0; chunk];
        let read = file.read_at(&mut text, from).map_err(|error| failed(&path, error))?;
        text.truncate(read);
        Ok(text)
    }

    /// The file's bytes from an offset on.
    pub(super) fn open(&self, name: &str, from: u64) -> Result<Raw<File>> {
        let path = self.path(name);
        let mut file = File::open(&path).map_err(|error| failed(&path, error))?;
        file.seek(SeekFrom::Start(from)).map_err(|error| failed(&path, error))?;
        Ok(Raw(file))
    }
}

fn failed(path: &Path, error: std::io::Error) -> Fault {
    not_handed_out(&path.display().to_string(), "it can't be read", error)
}

/// A file's path below the folder, or its full path.
fn name(path: &Path, folder: &Path) -> Result<String> {
    let full = path.canonicalize().map_err(|error| not_handed_out(&path.display().to_string(), "it can't be found", error))?;
    let name = full.strip_prefix(folder).unwrap_or(&full);
    name.to_str().map(str::to_owned).ok_or_else(|| unreadable(&path.display().to_string(), "its name is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &Path) -> Vec<String> {
        let local = Local::new(&pattern.to_string_lossy()).expect("a pattern");
        local.list().expect("lists").into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn a_pattern_finds_files_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.csv", "a.csv", "c.txt"] {
            std::fs::write(folder.path().join(name), "").expect("writes");
        }
        std::fs::create_dir(folder.path().join("d.csv")).expect("makes a folder");
        assert_eq!(names(&folder.path().join("*.csv")), ["a.csv", "b.csv"]);
    }

    #[test]
    fn files_keep_their_names_when_the_project_is_moved() {
        let place = tempfile::tempdir().expect("a folder");
        let [here, there] = ["here", "there"].map(|name| place.path().join(name));
        std::fs::create_dir_all(here.join("in/2013")).expect("makes folders");
        std::fs::write(here.join("in/2013/a.csv"), "").expect("writes");
        std::fs::write(here.join("in/b.csv"), "").expect("writes");
        assert_eq!(names(&here.join("in/**/*.csv")), ["2013/a.csv", "b.csv"]);
        std::fs::rename(&here, &there).expect("moves");
        assert_eq!(names(&there.join("in/**/*.csv")), ["2013/a.csv", "b.csv"]);
        let local = Local::new(&there.join("in/**/*.csv").to_string_lossy()).expect("a pattern");
        assert_eq!(local.path("2013/a.csv"), there.join("in/2013/a.csv"));
    }

    #[test]
    fn a_file_that_a_link_leads_to_is_one_split_wherever_it_is() {
        let (folder, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let far = elsewhere.path().canonicalize().expect("is there").join("far.csv");
        for file in [&folder.path().join("a.csv"), &far] {
            std::fs::write(file, "").expect("writes");
        }
        for (link, file) in [("b.csv", Path::new("a.csv")), ("c.csv", &far)] {
            std::os::unix::fs::symlink(file, folder.path().join(link)).expect("links");
        }
        let pattern = folder.path().join("*.csv");
        let far = far.to_str().expect("UTF-8");
        assert_eq!(names(&pattern), [far, "a.csv"]);
        assert_eq!(Local::new(&pattern.to_string_lossy()).expect("a pattern").path(far), Path::new(far));
    }

    #[test]
    fn the_folder_of_a_pattern_has_no_pattern_in_it() {
        let folder = |pattern: &str| Local::new(pattern).expect("a pattern").folder();
        assert_eq!(folder("/p/in/*.csv"), Path::new("/p/in"));
        assert_eq!(folder("/p/20[12]?/**/a*/b.csv"), Path::new("/p"));
        assert_eq!(folder("in/a.csv"), Path::new("./in"));
        assert_eq!(folder("*.csv"), Path::new("."));
    }

    #[test]
    fn a_path_that_is_not_there_yet_is_no_fault() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(names(&folder.path().join("later.csv")).is_empty());
    }
}
