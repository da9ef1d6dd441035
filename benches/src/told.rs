//! Processes that are told what to do.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};

use crate::measured::Measured;
use crate::process::Process;

/// A process that is told line by line what to do, and answers with a line: so that what it prepares is not measured.
pub(crate) struct Told {
    pub(crate) process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Told {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let (input, output) = process.pipes().context("neither told nor heard")?;
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    /// The next line that it says.
    pub(crate) fn hear(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "a process that was to answer ended");
        Ok(line.trim_end().to_owned())
    }

    /// Tells it a line.
    pub(crate) fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.input, "{line}")?;
        Ok(self.input.flush()?)
    }

    /// Tells it a line and measures what it uses until it answers.
    pub(crate) fn measure(&mut self, line: &str, records: u64) -> anyhow::Result<(Measured, String)> {
        let before = self.process.sample()?;
        self.tell(line)?;
        let answer = self.hear()?;
        let span = before.until(&self.process.sample()?, records);
        Ok((self.process.measured(span, None)?, answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_and_heard() {
        let mut cat = Told::start(&mut Command::new("cat")).expect("starts");
        let (measured, answer) = cat.measure("go", 7).expect("answers");
        assert_eq!((measured.whole.records, answer.as_str()), (7, "go"));
    }
}
