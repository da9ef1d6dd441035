//! A YAML file as a tree that knows the place of each key and value.

mod lines;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Options, Spanned};

use self::lines::Lines;
use super::place::Place;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A text, and the variables whose values are in it.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) content: String,
    pub(super) variables: Vec<String>,
    /// Whether one of them has no value.
    pub(super) is_unset: bool,
}

impl Text {
    pub(super) fn plain(content: impl Into<String>) -> Self {
        Self { content: content.into(), variables: Vec::new(), is_unset: false }
    }
}

/// A key, its place, and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Entry {
    /// Where a message about the value points: a value of one line itself, a longer one by its key.
    pub(super) fn place(&self) -> &Place {
        if self.node.is_scalar() { &self.node.place } else { &self.key_place }
    }
}

impl Node {
    fn is_scalar(&self) -> bool {
        !matches!(self.value, Value::Null | Value::List(_) | Value::Map(_))
    }

    /// The value under a key, or under an index of a list.
    pub(super) fn child(&self, segment: &str) -> Option<(&Node, &Place)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == segment).map(|entry| (&entry.node, entry.place())),
            Value::List(items) => items.get(segment.parse::<usize>().ok()?).map(|node| (node, &node.place)),
            _ => None,
        }
    }

    /// The entry under a key of a map.
    pub(super) fn entry_mut(&mut self, key: &str) -> Option<&mut Entry> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find(|entry| entry.key == key)
    }
}

/// That a text is not YAML, or more than a project file may be.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) place: Place,
}

/// Parses one YAML document of at most [`MAX_NODES`] values, aliases counted out.
pub(super) fn parse(file: &Arc<Path>, text: &str) -> Result<Node, SyntaxError> {
    let source = Source { file, text, lines: &Lines::of(text) };
    let raw = serde_saphyr::from_str_with_options(text, options()).map_err(|error| source.syntax_error(&error))?;
    source.node(raw)
}

/// Far more than a project needs, and little enough that a file of nested aliases is refused at once.
const MAX_NODES: usize = 50_000;
/// Twice what a project needs; each level costs stack.
const MAX_DEPTH: usize = 24;

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: MAX_NODES, max_depth: MAX_DEPTH, max_aliases: 1000, },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
    }
}

/// What the parser says, for those who have not read the YAML specification.
fn plainly(message: &str) -> String {
    if let Some(key) = message.strip_prefix("duplicate mapping key: ") {
        return format!("the key `{key}` is there twice");
    }
    let plain = match message {
        "while parsing a block mapping, did not find expected key" => "this line is indented like no key above it",
        "while parsing a flow mapping, did not find expected ',' or '}'" => "a `{` before this is not closed, or a `,` is missing",
        "while parsing a flow sequence, expected ',' or ']'" => "a `[` before this is not closed, or a `,` is missing",
        "tabs disallowed within this context (block indentation)" => "a line is indented by blanks, not by tabs",
        "mapping values are not allowed in this context" => "a second `:` in one value: put the value in quotes",
        several if several.starts_with("multiple YAML documents") => {
            "a second YAML document begins here: put it in a file of its own, and name that under `include:`"
        }
        other => other,
    };
    plain.to_owned()
}

/// The tree as serde-saphyr yields it.
enum Raw {
    Leaf(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

/// The file that a raw tree was parsed from.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a Arc<Path>,
    text: &'a str,
    lines: &'a Lines,
}

impl Source<'_> {
    fn node(self, raw: Spanned<Raw>) -> Result<Node, SyntaxError> {
        let value = match raw.value {
            Raw::Leaf(value) => value,
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect::<Result<_, _>>()?),
            Raw::Map(entries) => Value::Map(entries.into_iter().map(|(key, value)| self.entry(key, value)).collect::<Result<_, _>>()?),
        };
        Ok(Node { value, place: self.place(raw.defined) })
    }

    fn entry(self, key: Spanned<Raw>, value: Spanned<Raw>) -> Result<Entry, SyntaxError> {
        let key_place = self.place(key.defined);
        let key = match key.value {
            Raw::Leaf(Value::Text(text)) => text.content,
            Raw::Leaf(_) => self.written(&key_place),
            Raw::List(_) | Raw::Map(_) => {
                return Err(SyntaxError { message: "expected a name as the key".into(), place: key_place });
            }
        };
        Ok(Entry { key, key_place, node: self.node(value)? })
    }

    /// A key as it is written: `null` and `7` are names here.
    fn written(self, place: &Place) -> String {
        let (start, length) = place.bytes(self.text);
        self.text[start..start + length].to_owned()
    }

    fn place(self, location: Location) -> Place {
        let (line, column) = self.lines.counted(location.line(), location.column());
        let length = u32::try_from(location.span().len()).unwrap_or(u32::MAX);
        Place { file: Arc::clone(self.file), line, column, length }
    }

    fn syntax_error(self, error: &serde_saphyr::Error) -> SyntaxError {
        let place = error.location().map_or_else(|| Place::start(self.file), |location| self.place(location));
        let text = error.to_string();
        let message = text.split(" at line ").next().unwrap_or_default().split(", set DuplicateKeyPolicy").next().unwrap_or_default();
        SyntaxError { message: plainly(message), place }
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Uint(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Float(value)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Leaf(Value::Text(Text::plain(text))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<Path> {
        Arc::from(Path::new("a.yaml"))
    }

    fn error(text: &str) -> String {
        let error = parse(&file(), text).expect_err("is refused");
        format!("{}: {}", error.place, error.message)
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let root = parse(&file(), "a:\n  b: [x, yz]\n").expect("parses");
        let (a, key) = root.child("a").expect("a");
        assert_eq!(key.to_string(), "a.yaml:1:1");
        let (b, _) = a.child("b").expect("b");
        let (second, place) = b.child("1").expect("two items");
        assert_eq!((place.to_string(), place.length), ("a.yaml:2:10".into(), 2));
        assert!(matches!(&second.value, Value::Text(text) if text.content == "yz"));
    }

    #[test]
    fn a_place_is_in_a_line_as_editors_count_them() {
        let root = parse(&file(), "a: x\rb: y\r\n7: z\r8: w\n").expect("parses");
        let places = ["a", "b", "7", "8"].map(|key| root.child(key).expect("is there").1.to_string());
        assert_eq!(places, ["a.yaml:1:4", "a.yaml:1:9", "a.yaml:2:4", "a.yaml:2:9"]);
    }

    #[test]
    fn an_alias_points_to_what_it_stands_for() {
        let root = parse(&file(), "a: &x { k: v }\nb: *x\n").expect("parses");
        let (_, place) = root.child("b").and_then(|(b, _)| b.child("k")).expect("b.k");
        assert_eq!(place.to_string(), "a.yaml:1:12");
    }

    #[test]
    fn a_key_is_a_name_whatever_it_looks_like() {
        let root = parse(&file(), "null: a\n7: b\ntrue: c\n'x y': d\n").expect("parses");
        assert!(["null", "7", "true", "x y"].iter().all(|key| root.child(key).is_some()));
        assert_eq!(error("[a]: b\n"), "a.yaml:1:1: expected a name as the key");
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_place() {
        assert_eq!(error("a: 1\na: 2\n"), "a.yaml:2:1: the key `a` is there twice");
        assert_eq!(error("a:\n\tb: 1\n"), "a.yaml:2:2: a line is indented by blanks, not by tabs");
        assert_eq!(error("a: b: c\n"), "a.yaml:1:5: a second `:` in one value: put the value in quotes");
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(",");
            text = format!("{text}a{level}: &a{level} [{aliases}]\n");
        }
        assert!(error(&text).contains("budget breached"));
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(parse(&file(), &"[".repeat(10_000)).is_err());
        assert!(parse(&file(), &"- ".repeat(10_000)).is_err());
        assert!(parse(&file(), &"? ".repeat(10_000)).is_err());
    }
}
