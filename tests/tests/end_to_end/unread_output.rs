//! Commands whose output is not read to its end, or can't be kept.

use std::fs::File;
use std::io;
use std::process::{Command, Output, Stdio};

use millrace_tests::service::binary;

/// A command that prints much and needs no server.
const PRINTS: [&str; 3] = ["schema", "project", "--reference"];

#[test]
fn a_command_whose_reader_has_left_ends_well_and_quietly() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let output = printing_to(writer.into());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_command_whose_output_can_not_be_kept_says_so_and_fails() {
    let full = File::options().write(true).open("/dev/full").expect("a disk that is full");
    let output = printing_to(full.into());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the output can't be written"), "{output:?}");
}

fn printing_to(output: Stdio) -> Output {
    let mut command = Command::new(binary());
    command.args(PRINTS).stdout(output).stderr(Stdio::piped());
    command.spawn().and_then(std::process::Child::wait_with_output).expect("millrace runs")
}
