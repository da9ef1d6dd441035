//! The names by which services know the servers, and the resolver that knows them: `/etc/hosts` of the services alone, a file of this run
//! (`scripts/torture.sh` mounts it for them, and a `/etc/resolv.conf` that leads nowhere).

use std::fs;
use std::path::PathBuf;

/// What the services' resolver knows.
#[derive(Debug)]
pub(crate) struct Names {
    file: Option<PathBuf>,
    known: String,
}

impl Names {
    /// Those of this run; addresses alone where nothing could be mounted.
    pub(crate) fn of_this_run() -> Self {
        let file = std::env::var_os("TORTURE_HOSTS").map(PathBuf::from);
        let known = file.as_ref().map(|file| fs::read_to_string(file).expect("the names can be read")).unwrap_or_default();
        Self { file, known }
    }

    /// The host of a server, as services know it.
    pub(crate) fn host(&self, server: &str) -> String {
        if self.file.is_some() { format!("{server}.millrace.test") } else { "127.0.0.1".to_owned() }
    }

    /// Whether names can be forgotten; if not, why.
    pub(crate) fn can_fail(&self) -> Result<(), String> {
        self.file.as_ref().map(|_| ()).ok_or_else(|| "the services can't be given a resolver of their own here".to_owned())
    }

    /// Forgets all names.
    pub(crate) fn forget(&self) {
        self.write("");
    }

    /// Knows them again.
    pub(crate) fn tell(&self) {
        self.write(&self.known);
    }

    /// In place: what is mounted is the file, not its name.
    fn write(&self, known: &str) {
        fs::write(self.file.as_ref().expect("there are names"), known).expect("the names are written");
    }
}
