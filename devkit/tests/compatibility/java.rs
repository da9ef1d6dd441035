//! Java's console tools, from the jars that `MILLRACE_TEST_JAVA_KAFKA_LIBS` names. Without it these tests fail; `make test` sets it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::clients::{brokers, unique};

/// The tools of one release.
struct Tools {
    libraries: PathBuf,
}

impl Tools {
    fn new() -> Self {
        let libraries = std::env::var_os("MILLRACE_TEST_JAVA_KAFKA_LIBS").filter(|folder| !folder.is_empty()).expect(
            "MILLRACE_TEST_JAVA_KAFKA_LIBS names the folder of Kafka's jars; make test sets it, by hand: \
             scripts/services/kafka.sh install && export MILLRACE_TEST_JAVA_KAFKA_LIBS=$(scripts/services/kafka.sh libs)",
        );
        Self { libraries: libraries.into() }
    }

    /// Runs a tool and returns what it prints.
    fn run(&self, class: &str, arguments: &[&str], input: &str) -> String {
        let brokers = brokers();
        let mut child = Command::new("java")
            .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
            .arg(self.libraries.join("*"))
            .args([class, "--bootstrap-server", &brokers])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("java can be started; scripts/setup.sh test installs it");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{class} {arguments:?}: {printed}\n{}", String::from_utf8_lossy(&output.stderr));
        printed
    }

    fn topics(&self, arguments: &[&str]) -> String {
        self.run("org.apache.kafka.tools.TopicCommand", arguments, "")
    }

    fn produce(&self, arguments: &[&str], input: &str) {
        self.run("org.apache.kafka.tools.ConsoleProducer", arguments, input);
    }

    fn consume(&self, arguments: &[&str]) -> String {
        self.run("org.apache.kafka.tools.consumer.ConsoleConsumer", arguments, "")
    }

    fn groups(&self, arguments: &[&str]) -> String {
        self.run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", arguments, "")
    }

    fn configs(&self, arguments: &[&str]) -> String {
        self.run("kafka.admin.ConfigCommand", arguments, "")
    }
}

#[test]
fn the_java_tools_make_and_show_topics() {
    let tools = Tools::new();
    let name = unique("topic");
    tools.topics(&["--create", "--topic", &name, "--partitions", "3", "--config", "retention.ms=1000"]);
    assert!(tools.topics(&["--list"]).lines().any(|line| line == name));
    let described = tools.topics(&["--describe", "--topic", &name]);
    assert!(described.contains("PartitionCount: 3") && described.contains("retention.ms=1000"), "{described}");
    tools.topics(&["--alter", "--topic", &name, "--partitions", "4"]);
    tools.configs(&["--alter", "--entity-type", "topics", "--entity-name", &name, "--add-config", "retention.ms=2000"]);
    let configs = tools.configs(&["--describe", "--entity-type", "topics", "--entity-name", &name]);
    assert!(configs.contains("retention.ms=2000"), "{configs}");
    assert!(tools.topics(&["--describe", "--topic", &name]).contains("PartitionCount: 4"));
    tools.topics(&["--delete", "--topic", &name]);
    assert!(!tools.topics(&["--list"]).contains(&name));
}

#[test]
fn the_java_tools_produce_and_consume_and_show_groups() {
    let tools = Tools::new();
    let (name, group) = (unique("topic"), unique("group"));
    tools.topics(&["--create", "--topic", &name, "--partitions", "1"]);
    let keyed = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"];
    tools.produce(&[&["--topic", &name, "--compression-codec", "zstd"][..], &keyed].concat(), "a:1\nb:2\nc:3\n");
    let from_beginning = ["--topic", &name, "--from-beginning", "--group", &group, "--max-messages", "3", "--timeout-ms", "60000"];
    let format = ["--formatter-property", "print.key=true", "--formatter-property", "key.separator=:"];
    let committed = ["--command-property", "isolation.level=read_committed"];
    assert_eq!(tools.consume(&[&from_beginning[..], &format, &committed].concat()), "a:1\nb:2\nc:3\n");
    assert!(tools.groups(&["--list"]).lines().any(|line| line == group));
    let described = tools.groups(&["--describe", "--group", &group]);
    let line = described.lines().find(|line| line.contains(&name)).unwrap_or_else(|| panic!("{described}"));
    let columns: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(columns[2..6], ["0", "3", "3", "0"], "{described}");
    tools.groups(&["--reset-offsets", "--group", &group, "--topic", &name, "--to-earliest", "--execute"]);
    assert!(
        tools
            .groups(&["--describe", "--group", &group])
            .lines()
            .any(|line| line.contains(&name) && line.split_whitespace().nth(5) == Some("3"))
    );
    tools.groups(&["--delete", "--group", &group]);
    assert!(!tools.groups(&["--list"]).contains(&group));
}
