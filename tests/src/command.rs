//! Commands of the real binary that answer and end.

use std::process::{Child, Command, Stdio};

use crate::Project;
use crate::service::binary;

/// What a command has answered.
#[derive(Debug)]
pub struct Answer {
    /// Its exit code; `None` when a signal has ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it printed to standard error.
    pub err: String,
}

/// Runs `millrace <arguments>` in the project, whatever comes of it.
pub fn run(project: &Project, arguments: &[&str]) -> Answer {
    run_with(project, arguments, &[])
}

/// The same with more in its environment.
pub fn run_with(project: &Project, arguments: &[&str], more: &[(&str, &str)]) -> Answer {
    let mut command = Command::new(binary());
    command.args(arguments).envs(project.variables()).envs(more.iter().copied());
    let output = command.output().expect("millrace starts");
    let text = |bytes| String::from_utf8(bytes).expect("a command prints text");
    Answer { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Starts `millrace <arguments>` in the project, to be killed; what it prints is not kept.
pub fn start(project: &Project, arguments: &[&str]) -> Child {
    let mut command = Command::new(binary());
    command.args(arguments).envs(project.variables()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("millrace starts")
}

/// What `millrace <arguments>` prints when all is well.
pub fn said(project: &Project, arguments: &[&str]) -> String {
    let answer = run(project, arguments);
    assert_eq!(answer.code, Some(0), "millrace {}: {answer:#?}", arguments.join(" "));
    answer.out
}
