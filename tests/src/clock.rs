//! The system's clock as processes see it, set by a test. The monotonic clock goes on as it is.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::Surroundings;

/// What is loaded into the processes. It is built by the C compiler that the project is built with.
const LIBRARY: &str = include_str!("clock.c");

/// A clock that processes share.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
    shown: File,
}

impl Clock {
    /// One that shows the time.
    #[expect(clippy::new_without_default, reason = "it builds a library")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("clock.c");
        fs::write(&source, LIBRARY).expect("the library's source");
        let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        let built = compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(folder.path().join("clock.so")).arg(source).status();
        assert!(built.expect("a C compiler").success(), "the clock's library is built");
        let shown = File::options().create(true).truncate(true).write(true).open(folder.path().join("ahead")).expect("a file");
        let clock = Self { folder, shown };
        clock.is_ahead_by(0);
        clock
    }

    /// What puts a process under this clock. Times of files stay the system's: those of before it was set do not move with it.
    pub fn surroundings(&self) -> Surroundings {
        let path = |name: &str| self.path(name).to_str().expect("a path is text").to_owned();
        Surroundings::default().with("LD_PRELOAD", path("clock.so")).with("MILLRACE_TEST_CLOCK", path("ahead"))
    }

    /// Sets it so many seconds ahead of the time, or behind it.
    pub fn is_ahead_by(&self, seconds: i64) {
        self.shown.write_all_at(&seconds.to_ne_bytes(), 0).expect("the clock is set");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
