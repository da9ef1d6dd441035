//! Passwords inside URLs (RFC 3986, 3.2.1), and in their queries.

use std::ops::Range;

/// What a query's parameters with secrets in them are named: those of signed addresses of object stores among them.
const PARAMETERS: [&str; 6] = ["password", "token", "sig", "secret", "api_key", "X-Amz-Signature"];

/// The text with each password as `***`, in as many bytes as before.
pub(super) fn masked(text: &str) -> String {
    replaced(text, |length| (0..length).map(|at| if at < 3 { '*' } else { ' ' }).collect())
}

/// The text with each password as `***`.
pub(super) fn shortened(text: &str) -> String {
    replaced(text, |_| "***".to_owned())
}

fn replaced(text: &str, with: impl Fn(usize) -> String) -> String {
    let (mut shown, mut done) = (String::with_capacity(text.len()), 0);
    for secret in secrets(text) {
        shown.push_str(&text[done..secret.start]);
        shown.push_str(&with(secret.len()));
        done = secret.end;
    }
    shown + &text[done..]
}

/// Where passwords are, in their order. A variable's name is none.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = text.match_indices("://").flat_map(|(at, _)| of_url(text, at + 3)).collect();
    found.retain(|secret| !secret.is_empty() && !is_variable(&text[secret.clone()]));
    found
}

/// The secrets of the URL whose authority begins at `start`.
fn of_url(text: &str, start: usize) -> Vec<Range<usize>> {
    let end =
        start + text[start..].find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')).unwrap_or(text.len() - start);
    let url = &text[start..end];
    let authority = url.find(['/', '?', '#']).filter(|_| !url[..url.find('@').unwrap_or(0)].contains("${")).unwrap_or(url.len());
    let user = url[..authority].rfind('@').and_then(|at| Some(start + url[..at].find(':')? + 1..start + at));
    let query = url.find('?').map_or(url.len(), |at| at + 1);
    let parameters = url[query..]
        .match_indices('=')
        .filter_map(|(at, _)| parameter(url, query + at))
        .map(|range| start + range.start..start + range.end);
    user.into_iter().chain(parameters).collect()
}

/// The value of the parameter whose `=` is at `equals`, if it is a secret.
fn parameter(url: &str, equals: usize) -> Option<Range<usize>> {
    let name = url[..equals].rsplit(['?', '&']).next()?;
    let length = url[equals + 1..].find(['&', '#']).unwrap_or(url.len() - equals - 1);
    PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(name)).then_some(equals + 1..equals + 1 + length)
}

fn is_variable(text: &str) -> bool {
    text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(|name| !name.contains([':', '$']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_a_url_is_hidden() {
        assert_eq!(shortened("redis://:pw@h:1/0, https://u:p:q@h"), "redis://:***@h:1/0, https://u:***@h");
        assert_eq!(shortened("https://h/a?sv=1&sig=abc%3D&token=x#y"), "https://h/a?sv=1&sig=***&token=***#y");
        assert_eq!(masked("s3://k:se@b"), "s3://k:** @b".replace(' ', ""));
    }

    #[test]
    fn what_is_not_is_shown() {
        for text in ["http://localhost:8081", "https://u@h:1/p@q", "a:b@c", "https://u:${PASSWORD}@h", "https://h/a?page=2"] {
            assert_eq!(shortened(text), text);
        }
    }
}
