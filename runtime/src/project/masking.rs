//! The text of a project file as it may be shown: without passwords.
//!
//! It goes by the text and not by the tree: a file that is not YAML is shown too, and a key that is misspelt still has a
//! password after it.

use std::ops::Range;

use super::suggest;

mod urls;

/// The text with each password as `***`, in as many bytes as before, so that places in the text stay where they are.
pub(super) fn masked(text: &str) -> String {
    urls::masked(&without_values(text))
}

/// A message without the passwords of URLs in it.
pub(super) fn masked_message(text: &str) -> String {
    urls::shortened(text)
}

fn without_values(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut key = None;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        if key.is_some_and(|key| is_below(content, key)) {
            hide(content, &mut masked);
        } else {
            key = mask_line(content, &mut masked);
        }
        masked.push_str(&line[content.len()..]);
    }
    masked
}

/// Whether the line goes on with the value of a key in the column `key`. The items of a list may stand in the column of its key.
fn is_below(line: &str, key: usize) -> bool {
    let column = line.len() - line.trim_start().len();
    let is_item = line[column..].starts_with("- ") && !line[column..].contains(": ");
    line.trim().is_empty() || column > key || (column == key && is_item)
}

/// Adds the line to `masked`; returns the column of a key whose value may go on below.
fn mask_line(line: &str, masked: &mut String) -> Option<usize> {
    let (mut done, mut open) = (0, None);
    while let Some((key, value)) = next_secret(line, done) {
        masked.push_str(&line[done..value.start]);
        hide(&line[value.clone()], masked);
        done = value.end;
        open = (done == line.len()).then_some(key);
    }
    masked.push_str(&line[done..]);
    open
}

/// The next password of the line from the byte `from` on, and where its key begins.
fn next_secret(line: &str, from: usize) -> Option<(usize, Range<usize>)> {
    let colons = line.match_indices(':').map(|(at, _)| at).filter(|&at| at >= from);
    colons
        .filter_map(|colon| Some((key_before(line, colon)?, value_after(line, colon))))
        .find(|(_, value)| !is_variable(&line[value.clone()]))
}

/// Where the key before the colon begins, if it is a password's.
fn key_before(line: &str, colon: usize) -> Option<usize> {
    let before = line[..colon].trim_end().trim_end_matches(['"', '\'']);
    let name = before.rsplit(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.')).next()?;
    is_secret(name).then(|| before.len() - name.len())
}

/// What the keys of secrets have in their names.
const SECRETS: [&str; 11] =
    ["password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "access_key", "account_key", "private_key", "credential"];

fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRETS.iter().any(|word| key.contains(word)) || key == "sas" || suggest::nearest(&key, ["password"]).is_some()
}

fn value_after(line: &str, colon: usize) -> Range<usize> {
    let after = &line[colon + 1..];
    let start = colon + 1 + after.len() - after.trim_start().len();
    let value = &line[start..];
    let length = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted_length(value, quote),
        _ if line[..colon].contains(['{', '[']) => flow_length(value),
        _ => value.len(),
    };
    start..start + length
}

/// Up to the quote that ends it, or to the end of the line.
fn quoted_length(value: &str, quote: char) -> usize {
    let mut chars = value.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        let doubled = c == quote && quote == '\'' && chars.peek().is_some_and(|&(_, next)| next == quote);
        if doubled || (c == '\\' && quote == '"') {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    value.len()
}

/// Up to what ends a value inside of brackets; a variable may stand at its beginning.
fn flow_length(value: &str) -> usize {
    let variable = value.starts_with("${").then(|| value.find('}')).flatten().map_or(0, |end| end + 1);
    if value.starts_with('[') {
        return value.find(']').map_or(value.len(), |end| end + 1);
    }
    value[variable..].find([',', '}', ']']).map_or(value.len(), |end| variable + end)
}

/// Whether the value is nothing but `${NAME}`, which is no secret; a default would be.
fn is_variable(value: &str) -> bool {
    let inner = value.trim().trim_matches(['"', '\'']).strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

fn hide(secret: &str, masked: &mut String) {
    masked.extend((0..secret.len()).map(|at| if at < 3 { '*' } else { ' ' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let masked = masked(text);
        assert_eq!(masked.len(), text.len(), "places stay");
        masked.split('\n').map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_password_is_hidden_however_it_is_written() {
        assert_eq!(shown("password: hunter2"), "password: ***");
        assert_eq!(shown("password: 12345 # really"), "password: ***");
        assert_eq!(shown("{ host: h, password: 'it''s', port: 1 }"), "{ host: h, password: *** , port: 1 }");
        assert_eq!(shown(r#"{ "password":"a\"b", x: 1 }"#), r#"{ "password":*** , x: 1 }"#);
        assert_eq!(shown("{ password: hunter2, port: 1 }"), "{ password: *** , port: 1 }");
        assert_eq!(shown("sasl.password: hunter2"), "sasl.password: ***");
        assert_eq!(shown("{ access_key: hunter2, sas: sig=hunter2 }"), "{ access_key: *** , sas: *** }");
        assert_eq!(shown("password: é"), "password: **");
    }

    #[test]
    fn a_misspelt_key_has_a_password_too() {
        assert_eq!(shown("pasword: hunter2"), "pasword: ***");
        assert_eq!(shown("passwort: hunter2"), "passwort: ***");
    }

    #[test]
    fn a_password_of_several_lines_is_hidden_to_its_end() {
        assert_eq!(shown("w:\n  password: |\n    hunter2\n\n    more\n  port: 1"), "w:\npassword: *\n***\n\n***\nport: 1");
        assert_eq!(shown("- password:\n    hunter2\n  port: 1"), "- password:\n***\nport: 1");
    }

    #[test]
    fn tokens_and_lists_of_keys_are_hidden() {
        assert_eq!(shown("token: abc"), "token: ***");
        assert_eq!(shown("{ api_keys: [a, b], path: /a }"), "{ api_keys: *** , path: /a }");
        assert_eq!(shown("api_keys:\n- abc\n- def\nport: 1"), "api_keys:\n***\n***\nport: 1");
        assert_eq!(shown("secret_access_key: abc"), "secret_access_key: ***");
    }

    #[test]
    fn a_password_in_a_url_is_hidden() {
        assert_eq!(shown("url: https://me:hunter2@host/path"), "url: https://me:*** @host/path");
        assert_eq!(masked_message("found \"https://me:hunter2@host\" and a:b@c"), "found \"https://me:***@host\" and a:b@c");
    }

    #[test]
    fn what_is_no_password_is_shown() {
        for text in ["password: ${DW_PASSWORD}", "{ password: ${P}, port: 1 }", "passengers: { from: a }", "username: u"] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown("password: ${P:hunter2}"), "password: ***");
        assert_eq!(shown("{ password: ${P}hunter2 }"), "{ password: *** }");
    }
}
