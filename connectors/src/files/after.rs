//! What becomes of a file that has been read, once that is durable: nothing before says that it may go.
//!
//! A process that dies before it is done does it when the file is listed again: its position says that it was read.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use millrace_model::{Fault, Result};

use super::config::After;
use super::local::Local;
use super::store::unreadable;

/// Deletes a file of this machine, or moves it.
pub(super) fn dispose_file(local: &Local, name: &str, after: &After) -> Result<()> {
    let path = local.path(name);
    let done = match after {
        After::Keep => return Ok(()),
        After::Delete => std::fs::remove_file(&path),
        After::Move(folder) => return move_file(&path, &target(Path::new(folder.as_str()), name)),
    };
    match done {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(undone(&path, "deleting it failed").because(error)),
        _ => Ok(()),
    }
}

/// Where a file of that name goes. A file that a link led to, which goes by its full path, keeps its last name only.
fn target(folder: &Path, name: &str) -> PathBuf {
    let name = Path::new(name);
    if name.is_absolute() { folder.join(name.file_name().unwrap_or_default()) } else { folder.join(name) }
}

fn move_file(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        let hint =
            if error.kind() == ErrorKind::CrossesDevices { ", as it is on another file system: name a folder of this one" } else { "" };
        undone(from, &format!("moving it to {} failed{hint}", to.display())).because(error)
    };
    if to.exists() {
        return Err(undone(from, &format!("it can't be moved: {} is there already", to.display())));
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::rename(from, to).map_err(failed)
}

/// The file was read, and is still there.
fn undone(path: &Path, why: &str) -> Fault {
    unreadable(&path.display().to_string(), &format!("it was read, but {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_runtime::project::PathOrUrl;

    fn folder() -> (tempfile::TempDir, Local) {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("in")).expect("makes a folder");
        std::fs::write(folder.path().join("in/a.csv"), "s").expect("writes");
        let local = Local::new(&folder.path().join("in/*.csv").to_string_lossy()).expect("a pattern");
        (folder, local)
    }

    #[test]
    fn a_file_is_deleted_once_and_again_for_nothing() {
        let (folder, local) = folder();
        for _ in 0..2 {
            dispose_file(&local, "a.csv", &After::Delete).expect("deletes");
            assert!(!folder.path().join("in/a.csv").exists());
        }
    }

    #[test]
    fn a_file_is_moved_but_not_over_another() {
        let (folder, local) = folder();
        let done = folder.path().join("done");
        let after = After::Move(PathOrUrl::new(done.to_string_lossy()));
        for _ in 0..2 {
            dispose_file(&local, "a.csv", &after).expect("moves");
            assert!(done.join("a.csv").exists() && !folder.path().join("in/a.csv").exists());
        }
        std::fs::write(folder.path().join("in/a.csv"), "t").expect("writes");
        let fault = dispose_file(&local, "a.csv", &after).expect_err("is there");
        assert!(fault.message().contains("is there already"), "{fault}");
        assert_eq!(std::fs::read(done.join("a.csv")).expect("is there"), b"s");
    }
}
