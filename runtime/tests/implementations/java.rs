//! Java's Avro, by `Transcode.java`: it reads and writes the records of the fixtures, resolves them from the writer's schema to the
//! reader's, and reads what is encoded here.
//!
//! Needs Java and the folder of jars that `MILLRACE_TEST_JAVA_KAFKA_LIBS` names, in which Avro's is too.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Case, assert_same, bytes, cases, encoded, hex, rows};

fn libraries() -> PathBuf {
    let folder = std::env::var_os("MILLRACE_TEST_JAVA_KAFKA_LIBS").filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from).expect(
        "MILLRACE_TEST_JAVA_KAFKA_LIBS names the folder of Kafka's and Avro's jars; make test sets it, by hand: \
         scripts/services/kafka.sh install && export MILLRACE_TEST_JAVA_KAFKA_LIBS=$(scripts/services/kafka.sh libs)",
    )
}

/// The records as Java writes them by the reader's schema when it has read them by both.
fn transcoded(writer: &Value, reader: &Value, records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let lines: String = records.iter().map(|record| format!("{writer}\t{reader}\t{}\n", hex(record))).collect();
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]).arg(libraries().join("*"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/implementations/Transcode.java"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("java can be started");
    let mut input = child.stdin.take().expect("is piped");
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("java ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    writing.join().expect("does not panic").expect("java reads");
    String::from_utf8(output.stdout).expect("is text").lines().map(bytes).collect()
}

/// That records of the reader's schema are decoded here as the case has them.
fn assert_decoded(case: &Case, records: Vec<Vec<u8>>) {
    let written = Case { writer: case.reader.clone(), reader: case.reader.clone(), records, name: case.name.clone(), values: Value::Null };
    assert_same(&rows(&written.decoded()), &case.values, &case.name);
}

#[test]
fn records_that_java_wrote_are_decoded_and_resolved_as_java_does() {
    for case in cases() {
        let own = transcoded(&case.writer, &case.writer, &case.records);
        let by_java =
            Case { records: own, name: case.name.clone(), writer: case.writer.clone(), reader: case.reader.clone(), values: Value::Null };
        assert_same(&rows(&by_java.decoded()), &case.values, &case.name);
        assert_decoded(&case, transcoded(&case.writer, &case.reader, &case.records));
    }
}

#[test]
fn records_that_are_encoded_here_are_read_by_java() {
    for case in cases() {
        let records = encoded(&case);
        assert_decoded(&case, transcoded(&case.reader, &case.reader, &records));
    }
}
