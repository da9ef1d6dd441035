use std::io::Write as _;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

const LONG_AGO: fn() -> Timestamp = || Timestamp::UNIX_EPOCH;
const LONG_AFTER: fn() -> Timestamp = || Timestamp::MAX;
const SMALL: Limits = Limits { chunk: 7, row: 40, kept: 10, rows: 2 };

/// Records of a text `s`, and nothing else.
fn schema() -> Schema {
    let avro = json!({ "type": "record", "name": "Test", "fields": [{ "name": "s", "type": "string" }] });
    Schema::new(avro, Arc::new(arrow::datatypes::Schema::new(vec![Field::new("s", DataType::Utf8, false)])))
}

struct File {
    _folder: TempDir,
    path: String,
}

impl File {
    fn new(name: &str, text: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name).to_str().expect("UTF-8").to_owned();
        std::fs::write(&path, text).expect("writes");
        Self { _folder: folder, path }
    }

    fn append(&self, text: &[u8]) {
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.path).expect("opens");
        file.write_all(text).expect("writes");
    }

    fn open(&self, position: Option<&Position>) -> FileSource {
        let config: Config = serde_json::from_value(json!({ "path": self.path })).expect("a configuration");
        let source = config.open(&self.path, &schema(), position).expect("opens");
        FileSource { limits: SMALL, now: LONG_AFTER, ..source }
    }
}

/// What came of a record: its row's text, or why there is none.
type Seen = (i64, Result<String, String>);

fn seen(pulled: &Pulled) -> Vec<Seen> {
    let texts = pulled.batch.columns().column(0).as_string::<i32>();
    let good = (0..pulled.batch.len()).map(|row| (pulled.batch.origin().record(row).offset, Ok(texts.value(row).to_owned())));
    let bad = pulled.rejected.iter().map(|rejected| (rejected.record().offset, Err(rejected.reason().to_owned())));
    let mut all: Vec<Seen> = good.chain(bad).collect();
    all.sort_by_key(|(offset, _)| *offset);
    all
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

/// Everything that a source brings, and its position after each pull.
fn drain(source: &mut FileSource) -> Vec<(Vec<Seen>, Position)> {
    let mut pulls = Vec::new();
    block_on(async {
        while let Some(pulled) = source.next().await.expect("reads") {
            pulls.push((seen(&pulled), pulled.position));
        }
    });
    pulls
}

fn all(pulls: Vec<(Vec<Seen>, Position)>) -> Vec<Seen> {
    pulls.into_iter().flat_map(|(seen, _)| seen).collect()
}

fn texts(pulls: Vec<(Vec<Seen>, Position)>) -> Vec<String> {
    all(pulls).into_iter().map(|(_, seen)| seen.unwrap_or_else(|why| format!("! {why}"))).collect()
}

fn read(name: &str, text: &[u8]) -> Vec<String> {
    texts(drain(&mut File::new(name, text).open(None)))
}

#[test]
fn lines_of_json_are_read_in_their_order() {
    assert_eq!(read("a.ndjson", b"{\"s\":\"a\"}\n\n  \n{\"s\":\"b\"}\r\n{\"s\":\"c\"}"), ["a", "b", "c"]);
}

#[test]
fn rows_of_csv_are_read_under_their_header() {
    assert_eq!(read("a.csv", b"\xef\xbb\xbfs\r\na\r\n\"b\r\n\"\"x\"\"\"\r\n\r\nc"), ["a", "b\r\n\"x\"", "c"]);
}

#[test]
fn a_file_without_a_header_has_its_columns_from_the_configuration() {
    let file = File::new("a.txt", b"x;y\n\"a;b\";1\n");
    let settings = json!({ "path": file.path, "format": "csv", "delimiter": ";", "columns": ["s", "t"] });
    let config: Config = serde_json::from_value(settings).expect("a configuration");
    let avro =
        json!({ "type": "record", "name": "Test", "fields": [{ "name": "s", "type": "string" }, { "name": "t", "type": "string" }] });
    let fields = ["s", "t"].map(|name| Field::new(name, DataType::Utf8, false));
    let schema = Schema::new(avro, Arc::new(arrow::datatypes::Schema::new(fields.to_vec())));
    let mut source = config.open(&file.path, &schema, None).expect("opens");
    assert_eq!(texts(drain(&mut source)), ["x", "a;b"]);
}

#[test]
fn empty_files_and_files_of_a_header_only_are_fine() {
    for text in ["", "\n", "s", "s\n", "\u{feff}", "\u{feff}s\r\n"] {
        assert!(read("a.csv", text.as_bytes()).is_empty(), "{text:?}");
    }
    assert!(read("a.ndjson", b"\n \n").is_empty());
}

#[test]
fn a_bad_line_is_rejected_alone_with_its_number_and_its_text() {
    let file = File::new("a.csv", b"s\na\nb,c\n\xff\nd\n");
    let mut source = file.open(None);
    let pulls = drain(&mut source);
    assert_eq!(texts(pulls), ["a", "! line 3: the row has 2 fields, the header 1", "! line 4: s: the field is not UTF-8", "d"]);
}

#[test]
fn a_quote_that_nobody_closes_costs_one_line() {
    assert_eq!(read("a.csv", b"s\na\n\"b\nc\nd\n"), ["a", "! line 3: a quote is not closed", "c", "d"]);
}

#[test]
fn a_line_that_is_too_long_is_rejected_alone_by_its_beginning() {
    let long = format!("{{\"s\":\"a\"}}\n{{\"s\":\"{}\"}}\n{{\"s\":\"b\"}}\n", "x".repeat(100));
    let file = File::new("a.ndjson", long.as_bytes());
    let mut source = file.open(None);
    let pulled = block_on(async {
        source.next().await.expect("reads");
        source.next().await.expect("reads").expect("is there")
    });
    assert_eq!((pulled.rejected[0].code(), pulled.rejected[0].record().value), (Code::KafkaTooLarge, Some(b"{\"s\":\"xxxx".as_slice())));
    assert!(pulled.rejected[0].reason().contains("line 2: longer than 40 bytes"));
    assert_eq!(texts(drain(&mut file.open(Some(&pulled.position)))), ["b"]);
}

#[test]
fn a_last_line_waits_until_nobody_writes_and_is_never_read_twice() {
    let file = File::new("a.ndjson", b"{\"s\":\"a\"}\n{\"s\":\"b\"}");
    let mut source = file.open(None);
    source.now = LONG_AGO;
    assert_eq!(texts(drain(&mut source)), ["a"]);
    source.now = LONG_AFTER;
    assert_eq!(texts(drain(&mut source)), ["b"]);
    file.append(b"\n{\"s\":\"c\"}\n");
    assert_eq!(texts(drain(&mut source)), ["c"]);
}

#[test]
fn a_file_that_shrank_is_an_operators_matter() {
    let file = File::new("a.ndjson", b"{\"s\":\"a\"}\n");
    let mut source = file.open(None);
    drain(&mut source);
    std::fs::write(&file.path, b"{}").expect("writes");
    let fault = block_on(source.next()).expect_err("shrank");
    assert_eq!((fault.code(), fault.retry()), (Code::FileUnreadable, millrace_model::Retry::Operator));
}

#[test]
fn a_file_that_was_moved_with_its_folder_is_read_on() {
    let place = tempfile::tempdir().expect("a folder");
    let [here, there] = ["here", "there"].map(|name| place.path().join(name));
    let open = |folder: &Path, position: Option<&Position>| {
        let config: Config = serde_json::from_value(json!({ "path": folder.join("*.csv") })).expect("a configuration");
        let split = block_on(config.splits()).expect("lists").remove(0);
        FileSource { limits: SMALL, now: LONG_AFTER, ..config.open(&split, &schema(), position).expect("opens") }
    };
    std::fs::create_dir(&here).expect("makes a folder");
    std::fs::write(here.join("a.csv"), "s\na\nb\nc\nd\n").expect("writes");
    let mut source = open(&here, None);
    let pulled = block_on(source.next()).expect("reads").expect("has rows");
    assert_eq!(seen(&pulled), [(2, Ok("a".to_owned())), (4, Ok("b".to_owned()))]);
    assert_eq!((&*pulled.position.split, pulled.batch.origin().record(0).topic), ("a.csv", "file:a.csv"));
    std::fs::rename(&here, &there).expect("moves");
    assert_eq!(texts(drain(&mut open(&there, Some(&pulled.position)))), ["c", "d"]);
}

#[test]
fn another_file_of_the_same_name_is_an_operators_matter() {
    let file = File::new("a.ndjson", b"{\"s\":\"a\"}\n");
    let (_, position) = drain(&mut file.open(None)).remove(0);
    std::fs::write(&file.path, "{\"s\":\"b\"}\n{\"s\":\"c\"}\n").expect("writes");
    let mut source = file.open(Some(&position));
    for _ in 0..2 {
        let fault = block_on(source.next()).expect_err("is another");
        assert_eq!((fault.code(), fault.retry()), (Code::FileUnreadable, millrace_model::Retry::Operator));
        assert!(fault.message().contains("another name"), "{fault}");
    }
}

#[test]
fn a_position_from_before_files_were_known_by_their_beginning_is_read_on() {
    let file = File::new("a.ndjson", b"{\"s\":\"a\"}\n{\"s\":\"b\"}\n");
    let position = Position { split: file.path.clone(), at: json!({ "offset": 10, "line": 2 }) };
    let pulls = drain(&mut file.open(Some(&position)));
    let position = pulls[0].1.clone();
    assert_eq!(texts(pulls), ["b"]);
    assert!(texts(drain(&mut file.open(Some(&position)))).is_empty());
}

#[test]
fn a_header_that_does_not_fit_names_the_file_and_the_column() {
    let file = File::new("a.csv", b"S\na\n");
    let fault = block_on(file.open(None).next()).expect_err("does not fit");
    assert!(fault.message().starts_with(&format!("{}: the column `S` of the header is not in the schema", file.path)), "{fault}");
}

/// Lines of NDJSON or CSV, good and bad.
fn file() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let field = prop_oneof![
        "[a-c]{0,3}",
        Just("\"q\nr\"".to_owned()),
        Just("\"x\"\"y\"".to_owned()),
        Just("a,b".to_owned()),
        Just("\"".to_owned())
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n")];
    let csv = prop::collection::vec((field, end.clone()), 0..8)
        .prop_map(|rows| format!("s\n{}", rows.iter().map(|(field, end)| format!("{field}{end}")).collect::<String>()).into_bytes());
    let line = prop_oneof!["[a-c]{0,3}".prop_map(|s| format!("{{\"s\":\"{s}\"}}")), "[a-z{]{1,50}"];
    let json = prop::collection::vec((line, end), 0..8)
        .prop_map(|rows| rows.iter().map(|(line, end)| format!("{line}{end}")).collect::<String>().into_bytes());
    prop_oneof![csv.prop_map(|text| ("a.csv", text)), json.prop_map(|text| ("a.ndjson", text))]
}

proptest! {
    #[test]
    fn reading_goes_on_from_every_position_as_if_it_had_never_stopped((name, text) in file()) {
        let file = File::new(name, &text);
        let pulls = drain(&mut file.open(None));
        for (done, (_, position)) in pulls.iter().enumerate() {
            let rest = all(drain(&mut file.open(Some(position))));
            prop_assert_eq!(rest, all(pulls[done + 1..].to_vec()));
        }
    }

    #[test]
    fn a_file_that_grows_is_read_as_if_it_had_been_there_at_once((name, text) in file(), at in any::<prop::sample::Index>()) {
        let (first, second) = text.split_at(at.index(text.len() + 1));
        let whole = all(drain(&mut File::new(name, &text).open(None)));
        let file = File::new(name, first);
        let mut source = file.open(None);
        source.now = LONG_AGO;
        let mut seen = drain(&mut source);
        file.append(second);
        // Reading goes on in this process, and in one that knows the position only.
        let again = all(drain(&mut file.open(seen.last().map(|(_, position)| position))));
        source.now = LONG_AFTER;
        seen.extend(drain(&mut source));
        let (seen, before) = (all(seen.clone()), all(seen).len() - again.len());
        prop_assert_eq!(&seen, &whole);
        prop_assert_eq!(&seen[before..], &again);
    }
}
