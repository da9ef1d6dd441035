//! kcat, as people use it.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::clients::{brokers, topic, unique};

/// Runs kcat and returns what it prints. Where there is no kcat the test fails: install it (`apt-get install kcat`).
fn kcat(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("kcat")
        .args(["-b", &brokers()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kcat can be started; install it with: apt-get install kcat");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "kcat {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn kcat_produces_lists_and_consumes() {
    let name = topic(1);
    kcat(&["-P", "-t", &name, "-K:", "-z", "snappy"], "a:1\nb:2\nc:3\n");
    let listed = kcat(&["-L", "-t", &name], "");
    assert!(listed.contains(&format!("topic \"{name}\" with 1 partitions")), "{listed}");
    assert_eq!(kcat(&["-C", "-t", &name, "-e", "-q", "-f", "%o %k=%s\n"], ""), "0 a=1\n1 b=2\n2 c=3\n");
    assert_eq!(kcat(&["-C", "-t", &name, "-o", "-1", "-e", "-q", "-f", "%k\n"], ""), "c\n");
    assert!(kcat(&["-Q", "-t", &format!("{name}:0:-1")], "").contains("offset 3"));
}

#[test]
fn kcat_consumes_as_a_member_of_a_group() {
    let (name, group) = (topic(2), unique("group"));
    kcat(&["-P", "-t", &name, "-X", "enable.idempotence=true"], "1\n2\n3\n");
    let consumed = kcat(&["-G", &group, "-X", "auto.offset.reset=earliest", "-e", "-q", "-f", "%s\n", &name], "");
    let mut lines: Vec<&str> = consumed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["1", "2", "3"]);
}
