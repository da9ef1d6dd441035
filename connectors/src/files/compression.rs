//! Compressed files: their text as it comes, and whole files for formats that must look about in them.
//!
//! A compressed text can't be entered in its middle: reading goes on by decompressing from the beginning and passing over what
//! was read. What a format must look about in is first copied, decompressed, to a temporary file without a name.

use std::fs::File;
use std::io::{BufReader, Error, Read, Seek as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use millrace_model::{Code, Fault, Result};
use millrace_runtime::formats::blocks::Bytes;
use zip::ZipArchive;
use zip::result::ZipError;

use super::config::Compression;
use super::store::{Opened, is_of_the_medium, unreadable};

/// Text that comes in its order.
pub(super) type Stream = Box<dyn Read + Send>;

impl Compression {
    /// By the extension.
    pub(super) fn of(name: &str) -> Self {
        match extension(name) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            Some("zip") => Self::Zip,
            _ => Self::None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::None => "file",
            Self::Gzip => "gzip",
            Self::Zstd => "Zstandard",
            Self::Zip => "zip",
        }
    }
}

/// A name's extension, after its last dot.
pub(super) fn extension(name: &str) -> Option<&str> {
    Path::new(name).extension().and_then(|extension| extension.to_str())
}

/// One file of a place, to be taken out of its compression. Calls block.
pub(super) struct Packed {
    pub(super) place: String,
    pub(super) compression: Compression,
    pub(super) bytes: Opened,
}

impl Packed {
    /// The text from an offset of the decompressed text on.
    pub(super) fn stream(self, from: u64) -> Result<Stream> {
        let Self { place, compression, bytes } = self;
        let mut stream = decompressed(compression, bytes).map_err(|error| fault(&place, compression, error))?;
        let passed = std::io::copy(&mut Read::by_ref(&mut stream).take(from), &mut std::io::sink());
        passed.map_err(|error| fault(&place, compression, error))?;
        Ok(stream)
    }

    /// The whole file, decompressed.
    pub(super) fn whole(self) -> Result<Box<dyn Bytes>> {
        match (self.compression, self.bytes) {
            (Compression::None, Opened::File(file)) => Ok(Box::new(file)),
            (compression, bytes) => copied(&self.place, compression, bytes).map(|copy| Box::new(copy) as Box<dyn Bytes>),
        }
    }

    /// The archive.
    pub(super) fn archive(self) -> Result<Archive> {
        let file: Box<dyn Bytes> = match self.bytes {
            Opened::File(file) => Box::new(file),
            stream @ Opened::Stream(_) => Box::new(copied(&self.place, Compression::None, stream)?),
        };
        match ZipArchive::new(file) {
            Ok(archive) => Ok(Archive { place: self.place, archive }),
            Err(error) => Err(zip_fault(&self.place, error)),
        }
    }
}

fn decompressed(compression: Compression, bytes: Opened) -> Result<Stream, Error> {
    let raw: Stream = match bytes {
        Opened::File(file) => Box::new(file),
        Opened::Stream(stream) => stream,
    };
    Ok(match compression {
        Compression::None | Compression::Zip => raw,
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, raw))),
        Compression::Zstd => Box::new(zstd::Decoder::new(raw)?),
    })
}

/// A decompressed copy, which goes away with its handle.
fn copied(place: &str, compression: Compression, bytes: Opened) -> Result<File> {
    let mut stream = decompressed(compression, bytes).map_err(|error| fault(place, compression, error))?;
    copy(place, compression, &mut stream)
}

fn copy(place: &str, compression: Compression, from: &mut dyn Read) -> Result<File> {
    let mut copy = tempfile::tempfile().map_err(|error| no_room(place, error))?;
    let mut chunk = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut chunk).map_err(|error| fault(place, compression, error))?;
        if count == 0 {
            break;
        }
        std::io::Write::write_all(&mut copy, &chunk[..count]).map_err(|error| no_room(place, error))?;
    }
    copy.rewind().map_err(|error| no_room(place, error))?;
    Ok(copy)
}

fn no_room(place: &str, error: Error) -> Fault {
    let message = format!("{place}: it can't be copied to the folder for temporary files (TMPDIR), which must have room for it");
    Fault::operator(Code::Io, message).because(error)
}

/// What an error while reading a file means: its bytes could not be had, or they are not what they should be.
pub(super) fn fault(place: &str, compression: Compression, error: Error) -> Fault {
    let place_is_remote = place.contains("://");
    match (is_of_the_medium(&error), place_is_remote) {
        (true, true) => Fault::passing(Code::StoreUnavailable, format!("reading {place} broke off")).because(error),
        (true, false) => unreadable(place, "it can't be read").because(error),
        (false, _) => damaged(place, compression).because(error),
    }
}

fn damaged(place: &str, compression: Compression) -> Fault {
    Fault::operator(Code::FileDamaged, format!("{place}: it is not a whole {} file", compression.name()))
}

fn zip_fault(place: &str, error: ZipError) -> Fault {
    match error {
        ZipError::Io(error) if is_of_the_medium(&error) => fault(place, Compression::Zip, error),
        error => damaged(place, Compression::Zip).because(error),
    }
}

/// A zip archive, open.
pub(super) struct Archive {
    place: String,
    archive: ZipArchive<Box<dyn Bytes>>,
}

impl Archive {
    /// The names of its files, in its order; not those that macOS adds about them.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let names: Result<Vec<_>, ZipError> = self.archive.file_names().map(|name| Ok(name?.into_owned())).collect();
        let mut names = names.map_err(|error| zip_fault(&self.place, error))?;
        names.retain(|name| !name.ends_with('/') && !name.starts_with("__MACOSX/"));
        Ok(names)
    }

    /// A file of it, decompressed.
    pub(super) fn file(mut self, name: &str) -> Result<File> {
        let place = format!("{}/{name}", self.place);
        let mut entry = self.archive.by_name(name).map_err(|error| zip_fault(&place, error))?;
        copy(&place, Compression::Zip, &mut entry)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use super::*;
    use crate::files::store::Raw;

    fn packed(compression: Compression, bytes: Vec<u8>) -> Packed {
        Packed { place: "in/a".into(), compression, bytes: Opened::Stream(Box::new(Raw(Cursor::new(bytes)))) }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("writes");
        encoder.finish().expect("ends")
    }

    fn read(mut from: impl Read) -> String {
        let mut text = String::new();
        from.read_to_string(&mut text).expect("reads");
        text
    }

    #[test]
    fn members_and_frames_follow_one_another_and_are_entered_anywhere() {
        let gz = [gzip(b"one "), gzip(b"two")].concat();
        let zst = [zstd::encode_all(&b"one "[..], 1).expect("encodes"), zstd::encode_all(&b"two"[..], 1).expect("encodes")].concat();
        for (compression, bytes) in [(Compression::Gzip, gz), (Compression::Zstd, zst), (Compression::None, b"one two".to_vec())] {
            for from in 0..=7 {
                let stream = packed(compression, bytes.clone()).stream(from as u64).expect("opens");
                assert_eq!(read(stream), "one two"[from..]);
            }
            assert_eq!(read(packed(compression, bytes).whole().expect("copies")), "one two");
        }
    }

    #[test]
    fn what_is_not_whole_is_damaged() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).collect();
        let cut = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
        let bad = [
            (Compression::Gzip, cut(gzip(&text))),
            (Compression::Gzip, b"no gzip".to_vec()),
            (Compression::Zstd, cut(zstd::encode_all(&*text, 1).expect("encodes"))),
            (Compression::Zstd, b"no zstd".to_vec()),
        ];
        for (compression, bytes) in bad {
            let Err(fault) = packed(compression, bytes).whole() else { panic!("{compression:?} is not whole") };
            assert_eq!(fault.code(), Code::FileDamaged, "{fault}");
        }
        let Err(fault) = packed(Compression::Zip, b"no zip".to_vec()).archive() else { panic!("is no archive") };
        assert_eq!(fault.code(), Code::FileDamaged, "{fault}");
    }

    #[test]
    fn a_medium_that_fails_is_no_damage() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> Result<usize, Error> {
                Err(Error::other("gone"))
            }
        }
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let bytes = Opened::Stream(Box::new(Raw(Failing)));
            let failed = Packed { place: "s3://b/a".into(), compression, bytes }.whole();
            let Err(fault) = failed else { panic!("fails") };
            assert_eq!((fault.code(), fault.retry()), (Code::StoreUnavailable, millrace_model::Retry::BackOff), "{compression:?}: {fault}");
        }
    }

    #[test]
    fn an_archive_has_its_files_in_its_order() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in [("b.csv", "s\nb"), ("in/a.csv", "s\na")] {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("begins");
            writer.write_all(text.as_bytes()).expect("writes");
        }
        writer.add_directory("empty", zip::write::SimpleFileOptions::default()).expect("adds");
        let bytes = writer.finish().expect("ends").into_inner();
        let archive = packed(Compression::Zip, bytes).archive().expect("opens");
        assert_eq!(archive.names().expect("are text"), ["b.csv", "in/a.csv"]);
        assert_eq!(read(archive.file("in/a.csv").expect("copies")), "s\na");
    }
}
