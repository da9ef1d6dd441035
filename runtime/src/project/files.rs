//! Which files a project is made of.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Far more than a project needs; a larger file is something else.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What the file of a project that is a folder is named.
const MAIN: &str = "millrace";

/// The files that a project starts from.
#[derive(Debug)]
pub(super) struct Files {
    /// The folder that paths are relative to.
    pub(super) folder: PathBuf,
    /// The files that are read, in the order of their names.
    pub(super) main: Vec<PathBuf>,
    /// Files that lie over them, by profile, in the order of their names.
    pub(super) overlays: Vec<(String, PathBuf)>,
}

impl Files {
    /// The files of the project at `path`: that file, or in a folder `millrace.yaml`, or else all of its `.yaml` files.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_dir() {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let overlays = overlays(&yaml_files(&folder)?, &stem);
            return Ok(Self { folder, main: vec![path.to_owned()], overlays });
        }
        let folder = if path == Path::new(".") { PathBuf::new() } else { path.to_owned() };
        let all = yaml_files(&folder)?;
        let overlays = overlays(&all, MAIN);
        let single = ["millrace.yaml", "millrace.yml"].map(|name| folder.join(name)).into_iter().find(|file| all.contains(file));
        let main = match single {
            Some(file) => vec![file],
            None => all.into_iter().filter(|file| overlays.iter().all(|(_, overlay)| overlay != file)).collect(),
        };
        Ok(Self { folder, main, overlays })
    }
}

/// The YAML files in a folder, in the order of their names.
pub(super) fn yaml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })? {
        let file = folder.join(entry?.file_name());
        if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Those of the files that are `STEM.PROFILE.yaml`, each with its profile.
fn overlays(files: &[PathBuf], stem: &str) -> Vec<(String, PathBuf)> {
    let profile = |file: &Path| Some(file.file_stem()?.to_str()?.strip_prefix(stem)?.strip_prefix('.')?.to_owned());
    files.iter().filter_map(|file| Some((profile(file)?, file.clone()))).collect()
}

/// Reads a text file of at most [`MAX_FILE_BYTES`].
pub(super) fn read_text(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    fs::read_to_string(file)
}

/// The path without `.` and `..`, as far as names go; none if it leads out of the folder that it begins in.
pub(super) fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => plain.push(name),
            Component::ParentDir if plain.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_its_folder_or_is_none() {
        assert_eq!(plain(Path::new("a/./b/../c.yaml")), Some(PathBuf::from("a/c.yaml")));
        assert_eq!(plain(Path::new("../c.yaml")), None);
        assert_eq!(plain(Path::new("a/../../c.yaml")), None);
        assert_eq!(plain(Path::new("/etc/passwd")), None);
    }

    #[test]
    fn an_overlay_is_named_after_the_file_and_its_profile() {
        let files = ["millrace.prod.yaml", "millrace.yaml", "other.yaml", "millraceX.prod.yaml"].map(PathBuf::from);
        assert_eq!(overlays(&files, "millrace"), [("prod".to_owned(), files[0].clone())]);
    }
}
