//! What the planner and its kernels say, in the words of someone who writes a project: types as Avro and SQL name them, and no
//! word of how a plan is made.

use std::sync::LazyLock;

use arrow::datatypes::DataType;
use regex::{Captures, Regex};

/// A type as users know it.
pub(super) fn type_name(data_type: &DataType) -> String {
    types(&data_type.to_string())
}

/// An expression or a message with its types and constants as SQL writes them.
pub(super) fn sql(text: &str) -> String {
    types(&CONSTANT.replace_all(text, |found: &Captures<'_>| constant(&found[2])))
}

/// A message of the planner or of a kernel.
pub(super) fn message(raw: &str) -> String {
    let plain = CATEGORY.replace_all(raw, "");
    let said = RULES.iter().find_map(|(pattern, said)| pattern.captures(&plain).map(|found| said(&found)));
    said.unwrap_or_else(|| sql(plain.trim()))
}

/// How an error begins that was made in one place or another.
static CATEGORY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(Error during planning|Execution error|Arrow error|Parser error|Cast error|Invalid argument error|Compute error|Optimizer rule '[^']*' failed|This feature is not implemented|External error|Schema error|Internal error): ",
    )
});

/// A constant as a plan shows it: its type, and its value in parentheses.
static CONSTANT: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"\b(Utf8|LargeUtf8|Utf8View|Boolean|U?Int(?:8|16|32|64)|Float(?:16|32|64))\(("(?:[^"\\]|\\.)*"|[-\w.]+)\)"#));

static TYPE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\b(Utf8View|LargeUtf8|Utf8|String|Boolean|U?Int(?:8|16|32|64)|Float(?:16|32|64)|LargeBinary|BinaryView|Binary|FixedSizeBinary|Date32|Date64|Time32|Time64|Timestamp|Interval|Duration|Decimal(?:32|64|128|256)|Decimal|LargeList|ListView|FixedSizeList|List|Struct|Map|Dictionary|Null|Numeric|Integer)\b",
    )
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant")
}

/// `"x"` as `'x'`, anything else as it is.
fn constant(value: &str) -> String {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) => format!("'{}'", text.replace("\\\"", "\"").replace('\'', "''")),
        None => value.to_owned(),
    }
}

/// The text with each type in it as users know it. What stands in quotes is the user's own.
fn types(text: &str) -> String {
    let (mut said, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(found) = TYPE.find(rest) {
        let before = &rest[..found.start()];
        said.push_str(before);
        let after = &rest[found.end()..];
        if said.matches('\'').count() % 2 == 1 {
            said.push_str(found.as_str());
            rest = after;
            continue;
        }
        let (arguments, after) = arguments(after);
        said.push_str(&word(found.as_str(), arguments));
        rest = after;
    }
    said + rest
}

/// What stands in the parentheses that `text` begins with, and what follows them.
fn arguments(text: &str) -> (&str, &str) {
    if !text.starts_with('(') {
        return ("", text);
    }
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return (&text[1..at], &text[at + 1..]),
            ')' => depth -= 1,
            _ => {}
        }
    }
    ("", text)
}

fn word(name: &str, arguments: &str) -> String {
    let word = match name {
        "Utf8" | "LargeUtf8" | "Utf8View" | "String" => "text",
        "Boolean" => "boolean",
        "Int8" | "Int16" | "Int32" | "UInt8" | "UInt16" => "int",
        "Int64" | "UInt32" | "UInt64" => "long",
        "Float16" | "Float32" => "float",
        "Float64" => "double",
        "Binary" | "LargeBinary" | "BinaryView" | "FixedSizeBinary" => "bytes",
        "Date32" | "Date64" => "date",
        "Time32" | "Time64" => "time",
        "Timestamp" if arguments.contains('"') => "timestamp",
        "Timestamp" => "local timestamp",
        "Interval" => "interval",
        "Duration" => "duration",
        "List" | "LargeList" | "ListView" | "FixedSizeList" => return list(arguments),
        "Struct" => "record",
        "Map" => "map",
        "Null" => "null",
        "Numeric" => "a number",
        "Integer" => "a whole number",
        "Dictionary" => return types(arguments.split_once(", ").map_or("text", |(_, values)| values)),
        _ => return decimal(arguments),
    };
    word.to_owned()
}

fn list(items: &str) -> String {
    let items = items.trim_start_matches("non-null ").split(", ").next().unwrap_or_default();
    if items.is_empty() { "list".to_owned() } else { format!("list of {}", types(items)) }
}

fn decimal(arguments: &str) -> String {
    if arguments.is_empty() { "decimal".to_owned() } else { format!("decimal({})", arguments.replace(", ", ",")) }
}

/// How a message is said here.
type Said = fn(&Captures<'_>) -> String;

static RULES: LazyLock<Vec<(Regex, Said)>> = LazyLock::new(|| {
    let rules: [(&str, Said); 18] = [
        (r"^Cannot coerce arithmetic expression (.+) ([-+*/%]|\|\|) (.+) to valid types", |found| {
            format!("{} {} {} can't be computed: {CAST}", sql(&found[1]), &found[2], sql(&found[3]))
        }),
        (r"argument type for comparison operation (.+) (=|!=|<|<=|>|>=|IS DISTINCT FROM|IS NOT DISTINCT FROM) (.+)$", |found| {
            not_comparable(&found[1], &found[3])
        }),
        (r"argument type for logical boolean operation (.+) (AND|OR) (.+)$", |found| {
            format!("{} needs true or false on both sides, and has {} and {}", &found[2], sql(&found[1]), sql(&found[3]))
        }),
        (r"^Unary operator 'NOT' requires a boolean expression, got (.+)$", |found| {
            format!("NOT needs true or false, and has {}", sql(&found[1]))
        }),
        (r"^Unary operator '(.)' only supports", |found| format!("{} needs a number, an interval or a timestamp", &found[1])),
        (r"Function '(\w+)' failed to match any signature.*requires (\w+), but received (\w+) \(DataType: (.+?)\)\.", |found| {
            format!("{} can't be called with {} there: it takes {}", &found[1], sql(&found[4]), sql(&found[2]))
        }),
        (r"Function '(\w+)'.*expects (\d+) arguments but received (\d+)", |found| count(&found[1], &found[2], &found[3])),
        (r"Function '(\w+)' requires (\w+), but received (\w+) \(DataType: (.+)\)", |found| {
            format!("{} takes {}, and has {} here: {CAST}", &found[1], sql(&found[2]), sql(&found[4]))
        }),
        (r"Function '(\w+)' expects (\w+) but received (\w+)", |found| {
            format!("{} takes {}, and has {} here: {CAST}", &found[1], sql(&found[2]), sql(&found[3]))
        }),
        (r"call to '(\w+)' function: coercion from (.+) to the signature", |found| {
            format!("{} can't be called with {}: {CAST}", &found[1], sql(&found[2]))
        }),
        (r"(\w+) does not support zero arguments", |found| format!("{} needs an argument", &found[1])),
        (r"Function '(\w+)' user-defined coercion failed", |found| {
            format!("{} has arguments whose types don't go together: {CAST}", &found[1])
        }),
        (r"^For function '(\w+)' (.+) and (.+) is not comparable", |found| not_comparable(&found[2], &found[3])),
        (r"(?:type to coerce|Failed to coerce types) (.+) and (.+) in (\w+) expression", |found| not_comparable(&found[1], &found[2])),
        (r"^Can not find compatible types to compare (.+) with \[(.+)\]", |found| not_comparable(&found[1], &found[2])),
        (r"^Field (\S+) not found in struct", |found| format!("the record has no field {}", &found[1])),
        (r"^Cannot access field at argument \d+: type (.+) is not Struct", |found| format!("{} has no fields", sql(&found[1]))),
        (r"^(\w+) does not support type (.+)$", |found| match &found[1] {
            "array_element" => format!("{} has no items", sql(&found[2])),
            name => format!("{name} can't be used with {}", sql(&found[2])),
        }),
    ];
    let more: [(&str, Said); 4] = [
        (r"^Unsupported SQL type (.+)$", |found| {
            format!("there is no type {} here: cast to a number, text, boolean, date, time or timestamp", &found[1])
        }),
        (r"^Unsupported (?:TRY_)?CAST from (.+) to (.+)$", |found| format!("{} can't be cast to {}", sql(&found[1]), sql(&found[2]))),
        (r"^Unsupported ast node|^Unsupported expression", |_| "this form of expression can't be used in a step".to_owned()),
        (r"^Divide by zero", |_| "division by zero".to_owned()),
    ];
    rules.into_iter().chain(more).map(|(pattern, said)| (regex(pattern), said)).collect()
});

const CAST: &str = "cast one with CAST(… AS …)";

fn not_comparable(one: &str, other: &str) -> String {
    format!("{} can't be compared with {}: {CAST}", sql(one), sql(other))
}

fn count(function: &str, takes: &str, has: &str) -> String {
    let arguments = if takes == "1" { "argument" } else { "arguments" };
    format!("{function} takes {takes} {arguments}, and has {has} here")
}

/// Whether a text has a word in it that only those know who have read the planner's source.
#[cfg(test)]
pub(super) fn leaks(text: &str) -> bool {
    let words = [
        "DataType",
        "Utf8",
        "Int32",
        "Int64",
        "Float64",
        "sqltorel",
        "coerc",
        "signature",
        "Error during",
        "error:",
        "user-defined",
        "non-null",
        "Struct(",
    ];
    words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_users_know_them() {
        assert_eq!(types("Utf8 + List(non-null Utf8)"), "text + list of text");
        assert_eq!(types(r#"Timestamp(ms, "+00:00") and Timestamp(µs)"#), "timestamp and local timestamp");
        assert_eq!(types(r#"Struct("sku": non-null Utf8, "weight": Float64) to Decimal128(10, 2)"#), "record to decimal(10,2)");
        assert_eq!(types("'Int32' stays"), "'Int32' stays");
    }

    #[test]
    fn constants_are_written_as_sql_does() {
        assert_eq!(sql(r#"date_part(Utf8("foo"), at) = Int64(5)"#), "date_part('foo', at) = 5");
        assert_eq!(sql("CAST(name AS BinaryView)"), "CAST(name AS bytes)");
    }
}
