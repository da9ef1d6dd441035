use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

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
        settle(&path);
        Self { _folder: folder, path }
    }

    /// Is being written to: what it has need not be all.
    fn append(&self, text: &[u8]) {
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.path).expect("opens");
        file.write_all(text).expect("writes");
        file.set_modified(SystemTime::now()).expect("is set");
    }

    fn settle(&self) {
        settle(&self.path);
    }

    fn open(&self, position: Option<&Position>) -> FileSource {
        let config: Config = serde_json::from_value(json!({ "path": self.path })).expect("a configuration");
        sourced(&config, &self.path, position)
    }
}

/// A source of small pulls.
fn sourced(config: &Config, split: &str, position: Option<&Position>) -> FileSource {
    FileSource { limits: SMALL, ..config.open(split, &schema(), position).expect("opens") }
}

/// Nobody has written to the file for long.
fn settle(path: impl AsRef<Path>) {
    std::fs::File::options().append(true).open(path).expect("opens").set_modified(SystemTime::UNIX_EPOCH).expect("is set");
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
    let file = File::new("a.ndjson", b"{\"s\":\"a\"}\n");
    file.append(b"{\"s\":\"b\"}");
    let mut source = file.open(None);
    assert_eq!(texts(drain(&mut source)), ["a"]);
    assert!(!source.is_complete());
    file.settle();
    assert_eq!(texts(drain(&mut source)), ["b"]);
    assert!(source.is_complete());
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
    assert_eq!((fault.code(), fault.retry()), (Code::FileChanged, millrace_model::Retry::Operator));
}

#[test]
fn a_file_that_was_moved_with_its_folder_is_read_on() {
    let place = tempfile::tempdir().expect("a folder");
    let [here, there] = ["here", "there"].map(|name| place.path().join(name));
    let open = |folder: &Path, position: Option<&Position>| {
        let config: Config = serde_json::from_value(json!({ "path": folder.join("*.csv") })).expect("a configuration");
        let split = block_on(config.splits()).expect("lists").remove(0);
        sourced(&config, &split.name, position)
    };
    std::fs::create_dir(&here).expect("makes a folder");
    std::fs::write(here.join("a.csv"), "s\na\nb\nc\nd\n").expect("writes");
    settle(here.join("a.csv"));
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
        assert_eq!((fault.code(), fault.retry()), (Code::FileChanged, millrace_model::Retry::Operator));
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

/// A folder with a file, and a configuration of it.
struct Folder {
    folder: TempDir,
    settings: serde_json::Value,
}

impl Folder {
    fn of(name: &str, bytes: &[u8], more: &serde_json::Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = json!({ "path": folder.path().join("*") });
        settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let made = Self { folder, settings };
        made.write(name, bytes);
        made
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("writes");
        settle(self.path(name));
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        std::fs::File::options().append(true).open(self.path(name)).and_then(|mut file| file.write_all(bytes)).expect("writes");
        settle(self.path(name));
    }

    fn open(&self, name: &str, position: Option<&Position>) -> FileSource {
        let config: Config = serde_json::from_value(self.settings.clone()).expect("a configuration");
        sourced(&config, name, position)
    }

    fn read(&self, name: &str) -> Vec<String> {
        texts(drain(&mut self.open(name, None)))
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("writes");
    encoder.finish().expect("ends")
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).expect("begins");
        writer.write_all(text.as_bytes()).expect("writes");
    }
    writer.finish().expect("ends").into_inner()
}

/// Every format and compression, each of the records a to e.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let (csv, lines) = ("s\na\nb\nc\nd\ne\n", "{\"s\":\"a\"}\n{\"s\":\"b\"}\n{\"s\":\"c\"}\n{\"s\":\"d\"}\n{\"s\":\"e\"}\n");
    let json = format!("[{}]", lines.trim_end().replace('\n', ","));
    let (first, last) = ("s\na\nb\n", r#"[{"s":"c"},{"s":"d"},{"s":"e"}]"#);
    vec![
        ("a.csv", csv.as_bytes().to_vec()),
        ("a.csv.gz", gzip(csv.as_bytes())),
        ("a.csv.zst", zstd::encode_all(csv.as_bytes(), 1).expect("encodes")),
        ("a.ndjson", lines.as_bytes().to_vec()),
        ("a.jsonl.gz", gzip(lines.as_bytes())),
        ("a.json", json.as_bytes().to_vec()),
        ("a.json.zst", zstd::encode_all(json.as_bytes(), 1).expect("encodes")),
        ("a.zip", zip(&[("one.csv", first), ("none.csv", "s\n"), ("in/two.json", last)])),
    ]
}

#[test]
fn every_format_and_compression_is_read_and_read_on_from_every_position() {
    for (name, bytes) in samples() {
        let folder = Folder::of(name, &bytes, &json!({}));
        let pulls = drain(&mut folder.open(name, None));
        assert_eq!(texts(pulls.clone()), ["a", "b", "c", "d", "e"], "{name}");
        for (done, (_, position)) in pulls.iter().enumerate() {
            let rest = all(drain(&mut folder.open(name, Some(position))));
            assert_eq!(rest, all(pulls[done + 1..].to_vec()), "{name} after {position:?}");
        }
    }
}

#[test]
fn the_last_records_of_a_file_say_that_it_is_finished() {
    for (name, bytes) in samples() {
        let folder = Folder::of(name, &bytes, &json!({}));
        let mut source = folder.open(name, None);
        let mut pulls = Vec::new();
        while let Some(pulled) = block_on(source.next()).expect("reads") {
            pulls.push((pulled.batch.len(), pulled.finished));
        }
        let (last, before) = pulls.split_last().expect("has records");
        assert!(before.iter().all(|(_, finished)| finished.is_none()), "{name}: {pulls:?}");
        let finished = last.1.as_ref().expect("is the end");
        assert_eq!((finished.bytes, last.0 > 0), (bytes.len() as u64, true), "{name}");
        assert!(source.is_complete());
    }
}

#[test]
fn a_damaged_file_ends_with_one_rejection_after_what_is_good() {
    let long: String = (0..40_000).map(|row| format!("{row}\n")).collect();
    let gz = gzip(format!("s\n{long}").as_bytes());
    let folder = Folder::of("a.csv.gz", &gz[..gz.len() / 2], &json!({}));
    let mut source = FileSource { limits: LIMITS, ..folder.open("a.csv.gz", None) };
    let pulls = drain(&mut source);
    let position = pulls.last().expect("has rows").1.clone();
    let seen = texts(pulls);
    let (last, good) = seen.split_last().expect("has rows");
    assert!(last.starts_with("! ") && last.contains("a.csv.gz: it is not a whole gzip file"), "{last}");
    assert!(!good.is_empty() && good.iter().enumerate().all(|(row, text)| *text == row.to_string()));
    assert!(texts(drain(&mut folder.open("a.csv.gz", Some(&position)))).is_empty(), "it is done with");
    for name in ["b.json", "c.zip", "d.ndjson.zst"] {
        folder.write(name, b"[{\"s\":");
        assert_eq!(folder.read(name).len(), 1, "{name}");
    }
}

#[test]
fn a_file_that_is_being_written_is_left_alone_where_it_must_be_whole() {
    let folder = Folder::of("a.csv.gz", &gzip(b"s\na\n"), &json!({}));
    std::fs::File::options().append(true).open(folder.path("a.csv.gz")).expect("opens").set_modified(SystemTime::now()).expect("is set");
    let mut source = folder.open("a.csv.gz", None);
    assert!(drain(&mut source).is_empty() && !source.is_complete());
    settle(folder.path("a.csv.gz"));
    assert_eq!(texts(drain(&mut source)), ["a"]);
}

#[test]
fn a_file_that_changed_is_a_fault_or_a_new_file() {
    let folder = Folder::of("a.csv.gz", &gzip(b"s\na\n"), &json!({}));
    let (_, position) = drain(&mut folder.open("a.csv.gz", None)).remove(0);
    folder.write("a.csv.gz", &gzip(b"s\nb\nc\n"));
    let fault = block_on(folder.open("a.csv.gz", Some(&position)).next()).expect_err("is another");
    assert_eq!(fault.code(), Code::FileChanged, "{fault}");
    let again = Folder { settings: json!({ "path": folder.path("*"), "on_change": "read_again" }), folder: folder.folder };
    let pulls = drain(&mut again.open("a.csv.gz", Some(&position)));
    assert_eq!(texts(pulls.clone()), ["b", "c"]);
    let topic = |position: &Position| again.open("a.csv.gz", Some(position)).topic(None);
    assert_eq!(&*topic(&pulls[0].1), "file:a.csv.gz#1", "its dead letters are not taken for those of the first");
}

#[test]
fn a_file_goes_only_when_it_is_durable_and_then_also_after_a_restart() {
    for restarts in [false, true] {
        let folder = Folder::of("a.csv", b"s\na\n", &json!({ "after": "delete" }));
        let mut source = folder.open("a.csv", None);
        let pulled = block_on(source.next()).expect("reads").expect("has rows");
        assert!(block_on(source.next()).expect("reads").is_none() && folder.path("a.csv").exists(), "it is not durable yet");
        if restarts {
            source = folder.open("a.csv", Some(&pulled.position));
        } else {
            block_on(source.settled(&pulled.position)).expect("settles");
        }
        assert!(block_on(source.next()).expect("reads").is_none() && source.is_complete());
        assert!(!folder.path("a.csv").exists());
        folder.write("a.csv", b"s\nb\nc\n");
        assert_eq!(texts(drain(&mut folder.open("a.csv", Some(&pulled.position)))), ["b", "c"], "a new file of the same name");
    }
}

#[test]
fn a_followed_file_is_read_over_its_rotation_by_renaming() {
    let folder = Folder::of("a.ndjson", b"{\"s\":\"a\"}\n", &json!({ "mode": "growing" }));
    let mut source = folder.open("a.ndjson", None);
    let first = drain(&mut source).remove(0).1;
    folder.append("a.ndjson", b"{\"s\":\"b\"}\n{\"s\":");
    let pulls = drain(&mut source);
    assert_eq!(texts(pulls), ["b"], "a line without its end waits");
    folder.append("a.ndjson", b"\"c\"}\n");
    std::fs::rename(folder.path("a.ndjson"), folder.path("a.ndjson.1")).expect("renames");
    folder.write("a.ndjson", b"{\"s\":\"d\"}\n");
    assert_eq!(texts(drain(&mut source)), ["c", "d"]);
    let again = texts(drain(&mut folder.open("a.ndjson", Some(&first))));
    assert_eq!(again, ["b", "c", "d"], "also when nobody looked while it was rotated");
}

#[test]
fn a_followed_file_is_read_over_its_rotation_by_truncation() {
    let folder = Folder::of("a.ndjson", b"{\"s\":\"a\"}\n", &json!({ "mode": "growing" }));
    let mut source = folder.open("a.ndjson", None);
    let first = drain(&mut source).remove(0).1;
    folder.append("a.ndjson", b"{\"s\":\"b\"}\n");
    std::fs::copy(folder.path("a.ndjson"), folder.path("a.ndjson.1")).expect("copies");
    settle(folder.path("a.ndjson.1"));
    folder.write("a.ndjson", b"");
    assert_eq!(texts(drain(&mut source)), ["b"], "from the copy");
    folder.append("a.ndjson", b"{\"s\":\"c\"}\n");
    assert_eq!(texts(drain(&mut source)), ["c"]);
    assert_eq!(texts(drain(&mut folder.open("a.ndjson", Some(&first)))), ["b", "c"]);
}

#[test]
fn what_a_rotation_has_taken_away_is_one_rejection() {
    let folder = Folder::of("a.ndjson", b"{\"s\":\"a\"}\n{\"s\":\"b\"}\n", &json!({ "mode": "growing" }));
    let first = drain(&mut FileSource { limits: Limits { rows: 1, ..SMALL }, ..folder.open("a.ndjson", None) }).remove(0).1;
    std::fs::remove_file(folder.path("a.ndjson")).expect("removes");
    folder.write("a.ndjson", b"{\"s\":\"c\"}\n");
    let seen = texts(drain(&mut folder.open("a.ndjson", Some(&first))));
    assert!(seen[0].contains("what followed byte 10 is in no file of its folder"), "{seen:?}");
    assert_eq!(seen[1..], ["c"]);
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
        let file = File::new(name, b"");
        file.append(first);
        let mut source = file.open(None);
        let mut seen = drain(&mut source);
        file.append(second);
        file.settle();
        // Reading goes on in this process, and in one that knows the position only.
        let again = all(drain(&mut file.open(seen.last().map(|(_, position)| position))));
        seen.extend(drain(&mut source));
        let (seen, before) = (all(seen.clone()), all(seen).len() - again.len());
        prop_assert_eq!(&seen, &whole);
        prop_assert_eq!(&seen[before..], &again);
    }
}
