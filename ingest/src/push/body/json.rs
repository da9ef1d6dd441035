//! Which records a body of JSON has.

use serde_json::value::RawValue;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The records in `body`, each as its own text; whether they are good is not looked at.
///
/// A JSON array is its items; any other JSON text is one record. What is not one JSON text is NDJSON if any of its lines
/// is an object, or if `lines` says that the sender calls it so; else it is one record, which will be found bad.
pub(crate) fn records(body: &[u8], lines: bool) -> Vec<&[u8]> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii();
    if body.is_empty() {
        return Vec::new();
    }
    if lines {
        return lines_of(body);
    }
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(raw) => items(raw).unwrap_or_else(|| vec![body]),
        Err(_) if body.starts_with(b"[") => vec![body],
        Err(_) => Some(lines_of(body)).filter(|lines| lines.iter().any(|line| is_object(line))).unwrap_or_else(|| vec![body]),
    }
}

fn items(raw: &RawValue) -> Option<Vec<&[u8]>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    Some(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

fn lines_of(body: &[u8]) -> Vec<&[u8]> {
    let ends = memchr::memchr_iter(b'\n', body).chain([body.len()]);
    let starts = memchr::memchr_iter(b'\n', body).map(|end| end + 1);
    let lines = [0].into_iter().chain(starts).zip(ends).map(|(start, end)| body[start..end].trim_ascii());
    lines.filter(|line| !line.is_empty()).collect()
}

fn is_object(line: &[u8]) -> bool {
    line.starts_with(b"{") && serde_json::from_slice::<&RawValue>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &[u8]) -> Vec<String> {
        records(body, false).into_iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect()
    }

    #[test]
    fn an_object_an_array_and_lines_are_told_apart_by_the_body_alone() {
        assert_eq!(texts(b" {\"a\":\n1} "), ["{\"a\":\n1}"]);
        assert_eq!(texts(b"[{\"a\":1} , 2,\n{}]"), ["{\"a\":1}", "2", "{}"]);
        assert_eq!(texts(b"{\"a\":1}\r\n\n{\"a\":2}\n"), ["{\"a\":1}", "{\"a\":2}"]);
        assert_eq!(texts(b"\xef\xbb\xbf[]"), Vec::<String>::new());
    }

    #[test]
    fn a_bad_line_is_a_record_of_its_own() {
        assert_eq!(texts(b"{\"a\":\n{\"a\":2}\n"), ["{\"a\":", "{\"a\":2}"]);
        assert_eq!(texts(b"{\"a\":\"\xff\"}\n{\"a\":2}").len(), 2);
    }

    #[test]
    fn what_is_nothing_at_all_is_one_bad_record() {
        assert_eq!(texts(b"hello\nworld"), ["hello\nworld"]);
        assert_eq!(texts(b"[{\"a\":1},\n{\"a\":2}"), ["[{\"a\":1},\n{\"a\":2}"]);
        assert!(texts(b" \n").is_empty());
    }

    #[test]
    fn a_sender_may_say_that_it_sends_lines() {
        assert_eq!(records(b"hello\nworld", true).len(), 2);
    }
}
