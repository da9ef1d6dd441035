//! What a change of begins the ledger's count anew: the code that moves records and makes each hop exactly once. What is no code there does not count: comments,
//! documentation, formatting and tests.

use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use sha2::{Digest as _, Sha256};

use crate::outside::scripts::sources;

const HOT_PATHS: [&str; 13] = [
    "runtime/src/kafka",
    "runtime/src/codec",
    "runtime/src/input",
    "runtime/src/output",
    "runtime/src/dead_letters",
    "runtime/src/parking",
    "runtime/src/pipeline.rs",
    "ingest/src",
    "transform/src",
    "loader/src",
    "connectors/src/files",
    "connectors/src/postgres",
    "connectors/src/rounds.rs",
];

/// The hash over their code.
pub(crate) fn hash() -> String {
    let mut files: Vec<PathBuf> = HOT_PATHS.iter().flat_map(|path| files_in(&sources().join(path))).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let code = code(&text).unwrap_or_else(|| panic!("{} is no Rust", file.display()));
        hash.update(file.strip_prefix(sources()).expect("it is in the sources").to_string_lossy().as_bytes());
        hash.update(code.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The sources at a path, but for those of tests.
fn files_in(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name == "tests" || name.ends_with("tests.rs") {
        return Vec::new();
    }
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return entries.flat_map(|entry| files_in(&entry.expect("a folder can be listed").path())).collect();
    }
    if path.extension().is_some_and(|extension| extension == "rs") { vec![path.to_owned()] } else { Vec::new() }
}

/// The tokens of a source, one space between two, without documentation and tests; `None` where it is no Rust.
fn code(text: &str) -> Option<String> {
    let tokens: TokenStream = text.parse().ok()?;
    let mut words = Vec::new();
    write(tokens, &mut words);
    Some(words.join(" "))
}

fn write(tokens: TokenStream, words: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let attribute = if is(&token, '#') { tokens.peek().and_then(attribute) } else { None };
        match attribute.as_deref() {
            Some("cfg (test)") => skip_item(&mut tokens),
            Some(text) if text.starts_with("doc =") => drop(tokens.next()),
            _ if is_documentation_of_the_file(&token, &tokens) => drop((tokens.next(), tokens.next())),
            _ => write_one(token, words),
        }
    }
}

/// Whether `#` begins `#![doc = …]`.
fn is_documentation_of_the_file(token: &TokenTree, behind: &Peekable<impl Iterator<Item = TokenTree> + Clone>) -> bool {
    let mut behind = behind.clone();
    let inner = is(token, '#') && behind.next().is_some_and(|token| is(&token, '!'));
    inner && behind.next().as_ref().and_then(attribute).is_some_and(|text| text.starts_with("doc ="))
}

fn write_one(token: TokenTree, words: &mut Vec<String>) {
    let TokenTree::Group(group) = token else { return words.push(token.to_string()) };
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    };
    words.push(open.to_owned());
    write(group.stream(), words);
    words.push(close.to_owned());
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// What stands in the brackets of an attribute.
fn attribute(token: &TokenTree) -> Option<String> {
    let TokenTree::Group(group) = token else { return None };
    (group.delimiter() == Delimiter::Bracket).then(|| group.stream().to_string())
}

/// Passes over an item: up to its body, or to its semicolon.
fn skip_item(tokens: &mut impl Iterator<Item = TokenTree>) {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    // The attribute's own brackets come first.
    tokens.find(ends);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "fn one() -> u8 { 1 }";

    #[test]
    fn what_is_no_code_does_not_count() {
        let told =
            "//! A page.\n/// What it is.\nfn one()->u8{\n // why\n 1 }\n#[cfg(test)]\nmod tests;\n#[cfg(test)] mod more { fn two() {} }";
        assert_eq!(code(told), code(PLAIN));
    }

    #[test]
    fn what_is_code_does() {
        for other in ["fn one() -> u8 { 2 }", "#[inline] fn one() -> u8 { 1 }", "fn one() -> u8 { 1 } #[cfg(not(test))] fn two() {}"] {
            assert_ne!(code(other), code(PLAIN), "{other}");
        }
    }

    #[test]
    fn the_hot_paths_are_there() {
        assert_eq!(hash().len(), 16);
    }
}
