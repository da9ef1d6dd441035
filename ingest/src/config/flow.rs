//! An ingest pipeline in the typed flow.

use millrace_connectors::Connection;
use millrace_model::{Code, Schema};
use millrace_runtime::codec;
use millrace_runtime::formats::JsonReader;
use millrace_runtime::project::flow::{self, Claim, Context, Problem, Sharing, Types};
use millrace_runtime::project::{Delivery, Kind, OnError, Output};

use super::{Http, Input, Pipeline};

impl flow::Pipeline<Connection> for Pipeline {
    fn output(&self) -> Option<&Output> {
        Some(&self.to)
    }

    fn dead_letters(&self) -> &str {
        &self.dead_letters.topic
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn claims(&self, _: &Context<'_, Connection>) -> Vec<Claim> {
        match &self.from {
            Input::Http(http) => vec![path_claim(http)],
            Input::Source(_) => Vec::new(),
        }
    }

    fn types(&self, _: &Context<'_, Connection>, _: Option<&Schema>) -> Types {
        match &self.from {
            Input::Http(http) => Types { problems: problems(http), ..Types::default() },
            Input::Source(_) => Types::default(),
        }
    }

    fn misfits(&self, context: &Context<'_, Connection>, output: &Schema) -> Vec<Problem> {
        let (kind, checked) = match &self.from {
            Input::Http(_) => ("http", JsonReader::new(output).map(drop)),
            Input::Source(source) => (source.kind(), source.check(output, context.connections)),
        };
        let misfit = || checked.err().map(|fault| Problem::error(fault.code(), &["from", kind], fault.message()));
        unfilled(kind, output).or_else(misfit).into_iter().collect()
    }
}

/// A union of several types: JSON, CSV, rows of a database and the like do not say which of them a value is.
fn unfilled(kind: &str, output: &Schema) -> Option<Problem> {
    let union = codec::union_in(output)?;
    let problem =
        Problem::error(Code::SchemaUnsupported, &["from", kind], format!("{union}, and ingest can't tell which of them a value is"));
    let help = "give the field one type, or a record that has a nullable field for each".to_owned();
    Some(problem.kind(Kind::UnionTouched).expected("a topic whose schema has no such union".to_owned()).help(help))
}

fn http_key(key: &str) -> Vec<String> {
    ["from", "http", key].map(str::to_owned).into()
}

fn path_claim(http: &Http) -> Claim {
    let reason = "each path of the push gateway feeds one pipeline: choose another".to_owned();
    Claim { what: format!("the path `{}`", http.path), at: http_key("path"), sharing: Sharing::Never(reason) }
}

fn problems(http: &Http) -> Vec<Problem> {
    let origins = http.cors.iter().flat_map(|cors| &cors.origins).zip(0..).filter_map(|(origin, index)| origin_problem(origin, index));
    path_problem(http).into_iter().chain(room_problem(http)).chain(origins).collect()
}

fn room_problem(http: &Http) -> Option<Problem> {
    let (body, room) = (http.max_body.bytes(), http.max_in_flight.bytes());
    let message = format!("the path holds {room} bytes of bodies at once, less than the {body} of one");
    (room < body).then(|| {
        Problem::error(Code::ProjectSyntax, &http_key("max_in_flight"), message).help("raise max_in_flight, or lower max_body".to_owned())
    })
}

fn origin_problem(origin: &str, index: usize) -> Option<Problem> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let good = rest.is_some_and(|host| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
    let keys = ["from", "http", "cors", "origins", &index.to_string()].map(str::to_owned);
    let help = "write scheme and host, and the port if it is not the scheme's: https://shop.example".to_owned();
    (!good && origin != "*").then(|| Problem::error(Code::ProjectSyntax, &keys, format!("`{origin}` is no origin")).help(help))
}

fn path_problem(http: &Http) -> Option<Problem> {
    let error = |message: String| Problem::error(Code::ProjectSyntax, &http_key("path"), message);
    if !http.path.starts_with('/') {
        return Some(error("expected a path that begins with `/`".into()).help(format!("write `/{}`", http.path)));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let odd = http.path.chars().find(|&c| !plain(c))?;
    Some(error(format!("a path can't have the character `{odd}`")).help("use letters, digits, `/`, `-`, `_`, `.` and `~`".to_owned()))
}
