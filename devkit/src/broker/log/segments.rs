//! Segment files: record batches one after another, as they go over the wire, in files named by their first offset.
//!
//! Nothing is synced batch by batch: what was written survives the process, not the machine. A tail that was cut off in
//! mid-batch is found by length and checksum when a segment is opened, and removed.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::batch::{HEADER, Header, checksum_holds};

/// A segment that has reached this many bytes is followed by a new one.
const SEGMENT_BYTES: u64 = 128 * 1024 * 1024;

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: Arc<File>,
    length: u64,
}

/// Where a batch is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<File>,
    pub(crate) position: u64,
}

/// The segment files of one partition.
#[derive(Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
    segments: Vec<Segment>,
}

impl Segments {
    /// Opens the files in `folder` and tells of each whole batch in them. Whatever comes after the first damaged batch is removed.
    pub(crate) fn open(folder: &Path, mut found: impl FnMut(Header, &[u8], Place)) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut opened = Self { folder: folder.to_owned(), segments: Vec::new() };
        let mut next = 0;
        let mut paths = segment_paths(folder)?.into_iter();
        for path in paths.by_ref() {
            let (segment, whole) = Segment::open(path, &mut next, &mut found)?;
            opened.segments.push(segment);
            if !whole {
                break;
            }
        }
        for path in paths {
            tracing::warn!(path = %path.display(), "removing a segment that follows a damaged one");
            std::fs::remove_file(path)?;
        }
        Ok(opened)
    }

    /// Appends a batch whose first offset is `base_offset`.
    pub(crate) fn append(&mut self, base_offset: i64, batch: &[Bytes; 2]) -> io::Result<Place> {
        if self.segments.last().is_none_or(|segment| segment.length >= SEGMENT_BYTES) {
            self.segments.push(Segment::create(&self.folder, base_offset)?);
        }
        self.segments.last_mut().map_or_else(|| Err(io::ErrorKind::NotFound.into()), |segment| segment.append(batch))
    }

    /// Removes each file, except the last, of which `needed` says that no batch in it is needed.
    pub(crate) fn remove_unneeded(&mut self, needed: impl Fn(&Arc<File>) -> bool) -> io::Result<()> {
        while self.segments.len() > 1 && !needed(&self.segments[0].file) {
            std::fs::remove_file(&self.segments.remove(0).path)?;
        }
        Ok(())
    }

    /// Removes everything.
    pub(crate) fn remove(&self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.folder)
    }
}

impl Segment {
    fn create(folder: &Path, base_offset: i64) -> io::Result<Self> {
        let path = folder.join(format!("{base_offset:020}.log"));
        let file = OpenOptions::new().create_new(true).read(true).append(true).open(&path)?;
        Ok(Self { path, file: Arc::new(file), length: 0 })
    }

    /// Opens a file, and says whether it was whole. `next` is the least offset that may follow.
    fn open(path: PathBuf, next: &mut i64, found: &mut impl FnMut(Header, &[u8], Place)) -> io::Result<(Self, bool)> {
        let file = Arc::new(OpenOptions::new().read(true).append(true).open(&path)?);
        let size = file.metadata()?.len();
        let mut position = 0;
        while let Some((header, bytes)) = read_batch(&file, position, size, *next)? {
            *next = header.base_offset + i64::from(header.last_offset_delta) + 1;
            found(header, &bytes, Place { file: Arc::clone(&file), position });
            position += header.size as u64;
        }
        if position < size {
            tracing::warn!(path = %path.display(), bytes = size - position, "removing a damaged tail");
            file.set_len(position)?;
        }
        Ok((Self { path, file, length: position }, position == size))
    }

    fn append(&mut self, batch: &[Bytes; 2]) -> io::Result<Place> {
        let place = Place { file: Arc::clone(&self.file), position: self.length };
        if let Err(error) = write_both(&self.file, batch) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += (batch[0].len() + batch[1].len()) as u64;
        Ok(place)
    }
}

/// The files of a partition by their first offset.
fn segment_paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The batch at `position`, if a whole and sound batch is there.
fn read_batch(file: &File, position: u64, size: u64, next: i64) -> io::Result<Option<(Header, Bytes)>> {
    if size - position < HEADER as u64 {
        return Ok(None);
    }
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, position)?;
    let Some(header) = Header::read(&header).filter(|header| header.may_follow(next) && header.size as u64 <= size - position) else {
        return Ok(None);
    };
    let bytes = read_at(file, position, header.size)?;
    Ok(checksum_holds(&bytes).then_some((header, bytes)))
}

/// Reads `length` bytes at `position`.
pub(crate) fn read_at(file: &File, position: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(length);
    file.read_exact_at(&mut bytes, position)?;
    Ok(bytes.freeze())
}

/// Writes both parts, in one call if the system takes them whole.
fn write_both(mut file: &File, [prefix, rest]: &[Bytes; 2]) -> io::Result<()> {
    let written = file.write_vectored(&[IoSlice::new(prefix), IoSlice::new(rest)])?;
    file.write_all(&prefix[written.min(prefix.len())..])?;
    file.write_all(&rest[written.saturating_sub(prefix.len())..])
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batch;
    use super::super::batch::tests::batch;
    use super::*;

    fn write(folder: &Path, batches: i64) {
        let mut segments = Segments::open(folder, |_, _, _| ()).unwrap();
        for offset in 0..batches {
            let produced = Batch::produced(batch(-1, -1, -1, &[offset], false), 1 << 20).unwrap();
            segments.append(offset, &produced.placed(offset)).unwrap();
        }
    }

    fn offsets(folder: &Path) -> Vec<i64> {
        let mut offsets = Vec::new();
        Segments::open(folder, |header, _, _| offsets.push(header.base_offset)).unwrap();
        offsets
    }

    fn damage(folder: &Path, change: impl Fn(&mut Vec<u8>)) {
        let path = segment_paths(folder).unwrap().pop().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn batches_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 3);
        assert_eq!(offsets(folder.path()), [0, 1, 2]);
    }

    #[test]
    fn a_tail_cut_in_a_batch_is_removed_and_appending_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 3);
        damage(folder.path(), |bytes| bytes.truncate(bytes.len() - 1));
        assert_eq!(offsets(folder.path()), [0, 1]);
        let mut segments = Segments::open(folder.path(), |_, _, _| ()).unwrap();
        let again = Batch::produced(batch(-1, -1, -1, &[9], false), 1 << 20).unwrap();
        segments.append(2, &again.placed(2)).unwrap();
        assert_eq!(offsets(folder.path()), [0, 1, 2]);
    }

    #[test]
    fn a_tail_cut_in_a_header_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 2);
        damage(folder.path(), |bytes| bytes.extend_from_slice(&[0; 20]));
        assert_eq!(offsets(folder.path()), [0, 1]);
    }

    #[test]
    fn a_batch_with_a_wrong_checksum_ends_the_log() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 3);
        damage(folder.path(), |bytes| *bytes.last_mut().unwrap() ^= 1);
        assert_eq!(offsets(folder.path()), [0, 1]);
    }
}
