//! A file that is followed as it grows, over its rotation: `tail -F`.
//!
//! The open file is followed, not its name. When the name leads to another file, the old one was renamed: it is read until nobody
//! has written to it for two seconds, then the new one from its beginning. A file that became shorter, or begins differently, was
//! copied and truncated. What happened while nobody looked is found by the inode, or by what the file began with, among the files
//! of its folder.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use millrace_model::{Code, Fault, Result};

use super::beginning::Beginning;
use super::local::Local;
use super::store::{not_handed_out, unreadable};

/// A file that is open.
pub(super) struct Following {
    file: File,
    /// The inode that the position is of.
    inode: u64,
    local: Local,
    name: String,
}

/// Where the file that a position is of is now.
pub(super) enum Traced {
    Open(Following),
    /// There is no file of that name.
    Absent,
    /// It was rotated, and no file of the folder is it.
    Lost,
}

impl Following {
    /// Opens the file that had been read up to `offset` and began so; any, when none had been.
    pub(super) fn open(local: &Local, name: &str, inode: Option<u64>, offset: u64, beginning: Beginning) -> Result<Traced> {
        let path = local.path(name);
        let following = |file: File, inode: u64| Self { file, inode, local: local.clone(), name: name.to_owned() };
        let here = opened(&path)?;
        let Some(inode) = inode else {
            let Some((file, inode)) = here else { return Ok(Traced::Absent) };
            return Ok(Traced::Open(following(file, inode)));
        };
        if let Some((file, _)) = here
            && is_it(&file, offset, beginning)?
        {
            return Ok(Traced::Open(following(file, inode)));
        }
        match moved(&path, inode, offset, beginning)? {
            Some(file) => Ok(Traced::Open(following(file, inode))),
            None => Ok(Traced::Lost),
        }
    }

    /// The inode that the position is of.
    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    /// At most `chunk` bytes from an offset on. [`Code::FileChanged`] when the file was truncated.
    pub(super) fn read(&self, from: u64, chunk: usize, beginning: Beginning) -> Result<Vec<u8>> {
        if !is_it(&self.file, from, beginning)? {
            return Err(Fault::operator(Code::FileChanged, format!("{}: it was truncated", self.local.path(&self.name).display())));
        }
        let mut text = vec![0; chunk];
        let read = self.file.read_at(&mut text, from).map_err(|error| self.failed(error))?;
        text.truncate(read);
        Ok(text)
    }

    /// Whether it has been rotated away and nobody writes to it any more.
    pub(super) fn is_over(&self) -> Result<bool> {
        let here = opened(&self.local.path(&self.name))?.map(|(_, inode)| inode);
        let mine = self.file.metadata().map_err(|error| self.failed(error))?;
        Ok(here.is_some_and(|here| here != mine.ino()) && self.local.is_quiet(&mine))
    }

    fn failed(&self, error: std::io::Error) -> Fault {
        not_handed_out(&self.local.path(&self.name).display().to_string(), "it can't be read", error)
    }
}

fn opened(path: &Path) -> Result<Option<(File, u64)>> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata.ino())));
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(not_handed_out(&path.display().to_string(), "it can't be read", error)),
    }
}

/// Whether the file is one that had been read up to `offset` and began so.
fn is_it(file: &File, offset: u64, beginning: Beginning) -> Result<bool> {
    let read = || -> std::io::Result<bool> {
        let mut text = vec![0; beginning.bytes()];
        let length = file.read_at(&mut text, 0)?;
        Ok(file.metadata()?.len() >= offset && beginning.is_of(&text[..length]))
    };
    read().map_err(|error| Fault::operator(Code::FileUnreadable, "a file can't be read").because(error))
}

/// The file that is no longer at `path`, under its new name in the same folder: by its inode, or a copy of it.
fn moved(path: &Path, inode: u64, offset: u64, beginning: Beginning) -> Result<Option<File>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder)
        .map_err(|error| unreadable(&folder.display().to_string(), "the folder can't be listed").because(error))?;
    let mut copy = None;
    // What goes away while it is looked at is not there.
    for other in entries.flatten().map(|entry| entry.path()).filter(|other| other != path && other.is_file()) {
        let Some((file, found)) = opened(&other)? else { continue };
        if is_it(&file, offset, beginning)? {
            if found == inode {
                return Ok(Some(file));
            }
            copy = (beginning.bytes() > 0).then_some(file);
        }
    }
    Ok(copy)
}
