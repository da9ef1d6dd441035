//! What a process finds around it: limits of the system, a clock that lies, somewhere for its log.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the lines of a log go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Log {
    /// Into a file of the project's folder, which the test reads.
    #[default]
    Kept,
    /// Onto a full disk (`/dev/full`).
    Full,
    /// Into a pipe whose reader has gone.
    Unread,
}

/// The surroundings of a process; by default those of the test.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    limits: Vec<String>,
    variables: Vec<(&'static str, String)>,
    log: Log,
}

impl Surroundings {
    /// Has a shell say `line` before the process takes its place, under the same id: `ulimit -n 64`.
    #[must_use]
    pub fn after(mut self, line: impl Into<String>) -> Self {
        self.limits.push(line.into());
        self
    }

    /// Adds a variable to its environment.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Has it log there.
    #[must_use]
    pub fn logging(mut self, log: Log) -> Self {
        self.log = log;
        self
    }

    /// The command that runs `program` here, its log in `file` where it is kept.
    pub(crate) fn command(&self, program: &Path, arguments: &[&str], environment: &[(&'static str, String)], file: &Path) -> Command {
        let mut command = if self.limits.is_empty() {
            Command::new(program)
        } else {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{} && exec \"$0\" \"$@\"", self.limits.join(" && "))).arg(program);
            shell
        };
        command.args(arguments).envs(environment.iter().cloned()).envs(self.variables.iter().cloned()).stdin(Stdio::null());
        match self.log {
            Log::Kept => {
                let file = File::options().create(true).append(true).open(file).expect("a log file");
                command.stdout(file.try_clone().expect("a second handle of the log")).stderr(file)
            }
            Log::Full => command.stdout(full()).stderr(full()),
            Log::Unread => command.stdout(unread()).stderr(unread()),
        };
        command
    }
}

fn full() -> File {
    File::options().write(true).open("/dev/full").expect("the system has a full disk")
}

fn unread() -> Stdio {
    // Its reader goes at once.
    let (_, writer) = std::io::pipe().expect("a pipe");
    writer.into()
}
