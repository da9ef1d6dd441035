//! Where files are, whichever kind of place it is.

use std::io::{Error, Read, Seek, SeekFrom};
use std::sync::Arc;

use millrace_model::{Code, Fault, Result};
use rustix::io::Errno;

use super::after;
use super::config::After;
use super::local::Local;
use super::moving;
use super::remote::Remote;
use super::thread::blocking;
use crate::objects::ObjectStoreConfig;
use millrace_runtime::project::PathOrUrl;
use millrace_runtime::resilience::Probe;

/// The files that a configuration names.
#[derive(Debug, Clone)]
pub(super) enum Store {
    Local(Local),
    Remote(Box<Remote>),
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path below the pattern's folder, or its URL: the name of its split.
    pub(super) name: String,
    pub(super) facts: Facts,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) bytes: u64,
    /// Changes whenever the file does: an entity tag, or what the file system knows.
    pub(super) version: String,
    /// Whether it is not being written: an object never is.
    pub(super) is_whole: bool,
}

impl Facts {
    /// The entity tag, where the version is one: it has quotes (RFC 9110, 8.8.3).
    pub(super) fn tag(&self) -> Option<&str> {
        self.version.starts_with('"').then_some(self.version.as_str())
    }
}

impl Store {
    pub(super) fn new(location: &PathOrUrl, connection: Option<&ObjectStoreConfig>) -> Result<Self> {
        match (location.path(), connection) {
            (Some(_), Some(_)) => {
                let message = format!("`{}` is a path on this machine, which needs no `store`", location.as_str());
                Err(Fault::operator(Code::ProjectFlow, message))
            }
            (Some(_), None) => Local::new(location.as_str()).map(Self::Local),
            (None, connection) => Ok(Self::Remote(Box::new(Remote::new(location.as_str(), connection)?))),
        }
    }

    /// Whether files here can be disposed of so, as far as can be said without I/O.
    pub(super) fn check(&self, after: &After) -> Result<()> {
        match (self, after) {
            (Self::Remote(remote), after) => remote.check(after),
            (Self::Local(_), After::Move(folder)) if folder.path().is_none() => {
                let message = format!("files of this machine can't be moved to {}: name a folder of this machine", folder.as_str());
                Err(Fault::operator(Code::ProjectSyntax, message))
            }
            (Self::Local(local), After::Move(folder)) => moving::check(&local.pattern, folder.as_str(), folder.as_str()),
            (Self::Local(_), After::Keep | After::Delete) => Ok(()),
        }
    }

    /// What asks whether the place is there, where it is one to ask.
    pub(super) fn prober(&self) -> Option<Probe> {
        match self {
            Self::Local(_) => None,
            Self::Remote(remote) => Some(remote.prober()),
        }
    }

    pub(super) async fn list(&self) -> Result<Vec<Found>> {
        match self {
            Self::Local(local) => blocking(local, Local::list).await,
            Self::Remote(remote) => remote.list().await,
        }
    }

    pub(super) async fn facts(&self, name: &str) -> Result<Option<Facts>> {
        match self {
            Self::Local(local) => {
                let name = name.to_owned();
                blocking(local, move |local| local.facts(&name)).await
            }
            Self::Remote(remote) => remote.facts(name).await,
        }
    }

    /// The file's bytes, as they are kept, of the version that the facts are of.
    pub(super) async fn open(&self, name: &str, facts: &Facts) -> Result<Opened> {
        self.open_at(name, 0, facts).await
    }

    /// The same from an offset on.
    pub(super) async fn open_at(&self, name: &str, from: u64, facts: &Facts) -> Result<Opened> {
        match self {
            Self::Local(local) => {
                let name = name.to_owned();
                blocking(local, move |local| local.open(&name, from)).await.map(Opened::File)
            }
            Self::Remote(remote) => remote.open(name, from, facts).await.map(|body| Opened::Stream(Box::new(body))),
        }
    }

    /// Deletes a file, or moves it; one that is gone already is done with.
    pub(super) async fn dispose(&self, name: &str, after: &After) -> Result<()> {
        match self {
            Self::Local(local) => {
                let (name, after) = (name.to_owned(), after.clone());
                blocking(local, move |local| after::dispose_file(local, &name, &after)).await
            }
            Self::Remote(remote) => remote.dispose(name, after).await,
        }
    }

    /// The name for people.
    pub(super) fn place(&self, name: &str) -> String {
        match self {
            Self::Local(local) => local.path(name).display().to_string(),
            Self::Remote(_) => name.to_owned(),
        }
    }
}

/// A file's bytes.
pub(super) enum Opened {
    File(Raw<std::fs::File>),
    Stream(Box<dyn Read + Send>),
}

/// Bytes as they are kept. Its errors are the medium's, and are known again behind a decompressor: see [`is_of_the_medium`].
pub(super) struct Raw<R>(pub(super) R);

impl<R: Read> Read for Raw<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.0.read(buffer).map_err(|error| Error::new(error.kind(), Medium(Arc::new(error))))
    }
}

impl<R: Seek> Seek for Raw<R> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Error> {
        self.0.seek(to).map_err(|error| Error::new(error.kind(), Medium(Arc::new(error))))
    }
}

/// An error of what the bytes are kept on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Medium(#[source] Arc<Error>);

/// Whether the bytes could not be had, and not: were other than they should be.
pub(super) fn is_of_the_medium(error: &Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Medium>)
}

/// A file, or a folder, that can't be read: an operator's matter, except that the next look may find it mended.
pub(super) fn unreadable(place: &str, why: &str) -> Fault {
    Fault::operator(Code::FileUnreadable, format!("{place}: {why}"))
}

/// A file that the system did not hand out. A process that has no file left to open (`ulimit -n`) comes to have one again: that passes,
/// and says nothing about the file.
pub(super) fn not_handed_out(place: &str, why: &str, error: Error) -> Fault {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(Errno::raw_os_error);
    let fault = match error.raw_os_error() {
        Some(number) if exhausted.contains(&number) => Fault::passing(Code::Io, format!("{place}: {why} now")),
        _ => unreadable(place, why),
    };
    fault.because(error)
}

#[cfg(test)]
mod tests {
    use millrace_model::Retry;

    use super::*;

    #[test]
    fn a_process_without_a_file_left_to_open_waits_and_a_file_that_may_not_be_read_is_an_operators_matter() {
        let fault = |errno: Errno| not_handed_out("in/a.csv", "it can't be read", Error::from_raw_os_error(errno.raw_os_error()));
        let (exhausted, denied) = (fault(Errno::MFILE), fault(Errno::ACCESS));
        assert_eq!((exhausted.code(), exhausted.retry()), (Code::Io, Retry::BackOff));
        assert_eq!((denied.code(), denied.retry()), (Code::FileUnreadable, Retry::Operator));
    }
}
