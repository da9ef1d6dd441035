//! An independent reader of the tables: delta-rs, pyarrow and `DuckDB`, in the Python that `MILLRACE_TEST_PYTHON` names, or `python3`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

/// One for all tests; it ends when they do, for then nothing more comes.
static READER: LazyLock<Mutex<Reader>> = LazyLock::new(|| Mutex::new(Reader::start()));

struct Reader {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    _python: Child,
}

impl Reader {
    fn start() -> Self {
        let python = std::env::var("MILLRACE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sinks/lake/reader.py");
        let mut command = Command::new(python);
        command.arg(program).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut python = command.spawn().expect("Python starts");
        let requests = python.stdin.take().expect("is piped");
        let answers = BufReader::new(python.stdout.take().expect("is piped"));
        Self { requests, answers, _python: python }
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.requests, "{request}").expect("the reader listens: it needs deltalake, pyarrow and duckdb, see scripts/setup.sh");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the reader answers");
        serde_json::from_str(&answer).expect("the reader answers: it needs deltalake, pyarrow and duckdb, see scripts/setup.sh")
    }
}

/// Where a table is for the reader.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) url: String,
    pub(crate) options: Value,
}

impl Table {
    fn ask(&self, what: &str, columns: &[&str]) -> Value {
        let request = json!({ "what": what, "url": self.url, "options": self.options, "columns": columns });
        let mut answer = READER.lock().unwrap_or_else(PoisonError::into_inner).ask(&request);
        assert_eq!(answer["error"], Value::Null, "reading {}", self.url);
        answer["answer"].take()
    }

    /// The values of columns, rows in the order of `id`; without names all columns.
    pub(crate) fn rows(&self, columns: &[&str]) -> Vec<Vec<Option<String>>> {
        serde_json::from_value(self.ask("rows", columns)).expect("rows of text")
    }

    /// The names of its columns.
    pub(crate) fn columns(&self) -> Vec<String> {
        serde_json::from_value(self.ask("columns", &[])).expect("names")
    }

    /// The files that are the table.
    pub(crate) fn files(&self) -> Vec<String> {
        serde_json::from_value(self.ask("files", &[])).expect("paths")
    }

    /// The version that the table is at.
    pub(crate) fn version(&self) -> i64 {
        self.ask("version", &[]).as_i64().expect("a number")
    }
}
