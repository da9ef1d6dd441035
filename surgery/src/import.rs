//! Letters from files that were exported, as they are or mended.

use std::fs;
use std::path::{Path, PathBuf};

use millrace_model::{Code, Fault, Result};
use millrace_runtime::dead_letters::DeadLetter;

use crate::export::{Exported, of_container};

/// What an Avro container file begins with (Avro 1.12, Object Container Files).
const CONTAINER: &[u8] = b"Obj\x01";

/// The letters at `path`: a file of JSON lines, an Avro container file, or a folder of raw ones.
///
/// # Errors
/// [`Code::LetterFileInvalid`] with the place of what is wrong.
pub fn read(path: &Path) -> Result<Vec<DeadLetter>> {
    if path.is_dir() {
        return raw(path);
    }
    let file = contents(path)?;
    if file.starts_with(CONTAINER) {
        return of_container(&file).map_err(|why| invalid(path, &why));
    }
    let text = std::str::from_utf8(&file).map_err(|_| invalid(path, "it is neither JSON lines nor an Avro container file"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| of_json(path, line, &format!("line {}: ", number + 1))).collect()
}

fn raw(folder: &Path) -> Result<Vec<DeadLetter>> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>).map_err(|error| unreadable(folder, error))?;
    let mut described: Vec<PathBuf> = listed.into_iter().map(|entry| entry.path()).collect();
    described.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    described.sort();
    described.iter().map(|path| raw_letter(path)).collect()
}

fn raw_letter(described: &Path) -> Result<DeadLetter> {
    let text = String::from_utf8(contents(described)?).map_err(|_| invalid(described, "it is not JSON"))?;
    let mut letter = of_json(described, &text, "")?;
    let part = |name: &str| {
        let path = described.with_extension(name);
        path.exists().then(|| contents(&path)).transpose()
    };
    (letter.key, letter.value) = (part("key")?, part("value")?);
    Ok(letter)
}

fn of_json(path: &Path, text: &str, place: &str) -> Result<DeadLetter> {
    let exported: Exported = serde_json::from_str(text).map_err(|error| invalid(path, &format!("{place}{error}")))?;
    Ok(exported.into_letter())
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Fault {
    Fault::operator(Code::LetterFileInvalid, format!("{} can't be read", path.display())).because(error)
}

fn invalid(path: &Path, why: &str) -> Fault {
    Fault::operator(Code::LetterFileInvalid, format!("{} is no file of dead letters: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export;
    use crate::letters::Letter;
    use millrace_model::{Header, Record};

    fn letters() -> Vec<Letter> {
        let headers = [
            Header { key: "mine".into(), value: Some(vec![0xff]) },
            Header { key: "mine".into(), value: None },
            Header { key: "millrace.error.topic".into(), value: Some(b"in".to_vec()) },
        ];
        let letter = |offset, key, value| {
            let record = Record { topic: "dead", partition: 3, offset, timestamp: 17, key, value, headers: &headers };
            Letter { letter: DeadLetter::of(&record), resolution: None, behind: 0 }
        };
        vec![letter(1, Some(b"k"), Some(b"\x00\xff")), letter(2, None, Some(b"{\"a\":1}")), letter(3, Some(b""), None)]
    }

    fn dead(letters: &[Letter]) -> Vec<DeadLetter> {
        letters.iter().map(|letter| letter.letter.clone()).collect()
    }

    #[test]
    fn an_avro_file_gives_the_letters_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("letters.avro");
        fs::write(&path, export::avro(&letters()).expect("exports")).expect("writes");
        assert_eq!(read(&path).expect("imports"), dead(&letters()));
    }

    #[test]
    fn json_lines_give_the_letters_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("letters.jsonl");
        let lines: Vec<String> =
            letters().iter().map(|letter| serde_json::to_string(&Exported::of(&letter.letter)).expect("JSON")).collect();
        assert!(lines[1].contains(r#""value":{"text":"{\"a\":1}"}"#), "{}", lines[1]);
        fs::write(&path, lines.join("\n") + "\n\n").expect("writes");
        assert_eq!(read(&path).expect("imports"), dead(&letters()));
        fs::write(&path, format!("{}\nnonsense\n", lines[0])).expect("writes");
        assert!(read(&path).expect_err("nonsense").to_string().contains("line 2: "));
    }

    #[test]
    fn a_raw_folder_gives_the_letters_back_with_a_value_that_was_mended() {
        let folder = tempfile::tempdir().expect("a folder");
        export::raw(&letters(), folder.path()).expect("exports");
        assert_eq!(read(folder.path()).expect("imports"), dead(&letters()));
        fs::write(folder.path().join("dead-3-2.value"), "{\"a\":2}").expect("writes");
        assert_eq!(read(folder.path()).expect("imports")[1].value.as_deref(), Some(b"{\"a\":2}".as_slice()));
    }

    #[test]
    fn a_file_of_something_else_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        assert_eq!(read(&path).expect_err("missing").code(), Code::LetterFileInvalid);
        for bytes in [b"Obj\x01 truncated".as_slice(), b"\xff\xfe", b"{}"] {
            fs::write(&path, bytes).expect("writes");
            assert_eq!(read(&path).expect_err("no letters").code(), Code::LetterFileInvalid);
        }
    }
}
