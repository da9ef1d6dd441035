//! What a text is the form of, and what two texts have in common.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use serde_json::{Value, json};

/// What a value of one piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Boolean,
    Whole,
    /// A number with a point: so many digits before it and behind it, and whether any value ended with a zero.
    Fixed {
        whole: u8,
        scale: u8,
        padded: bool,
    },
    Number,
    /// The same in a JSON string, which someone quoted so that no digit is lost.
    Quoted {
        whole: u8,
        scale: u8,
        padded: bool,
    },
    Date,
    /// With so many digits of a second's fraction, as the two that follow.
    Time(u8),
    Timestamp(u8),
    LocalTimestamp(u8),
    Uuid,
    Text,
}

/// The form of a CSV field.
pub(super) fn of_field(text: &str) -> Form {
    match text {
        _ if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") => Form::Boolean,
        _ if is_whole(text) => Form::Whole,
        _ => match fixed(text) {
            Some((whole, scale, padded)) => Form::Fixed { whole, scale, padded },
            None if is_number(text) => Form::Number,
            None => of_words(text),
        },
    }
}

/// The form of a JSON string.
pub(super) fn of_string(text: &str) -> Form {
    match fixed(text) {
        Some((whole, scale, padded)) => Form::Quoted { whole, scale, padded },
        None => of_words(text),
    }
}

fn of_words(text: &str) -> Form {
    const DATE: usize = "2013-01-31".len();
    const MINUTE: usize = "2013-01-31T05:30".len();
    let digits = fraction_digits(text);
    match text.len() {
        DATE if text.contains('-') && text.parse::<Date>().is_ok() => Form::Date,
        36 if is_uuid(text) => Form::Uuid,
        MINUTE.. if text.contains(':') && text.parse::<Timestamp>().is_ok() => Form::Timestamp(digits),
        MINUTE.. if text.contains(':') && text.parse::<DateTime>().is_ok() => Form::LocalTimestamp(digits),
        _ if is_clock(text) && text.parse::<Time>().is_ok() => Form::Time(digits),
        _ => Form::Text,
    }
}

/// Whole, in 64 bits, and written as a number would be: `007` is a name.
fn is_whole(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|value| value.to_string() == text)
}

fn is_number(text: &str) -> bool {
    let numeral = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    numeral && !has_leading_zero(text) && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn has_leading_zero(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") && !digits.starts_with("0e")
}

/// The digits of a number with a point and without an exponent.
fn fixed(text: &str) -> Option<(u8, u8, bool)> {
    let (whole, fraction) = text.strip_prefix('-').unwrap_or(text).split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || has_leading_zero(whole) {
        return None;
    }
    Some((u8::try_from(whole.len()).ok()?, u8::try_from(fraction.len()).ok()?, fraction.ends_with('0')))
}

fn is_uuid(text: &str) -> bool {
    text.char_indices().all(|(at, c)| if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() })
}

fn is_clock(text: &str) -> bool {
    text.contains(':') && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
}

fn fraction_digits(text: &str) -> u8 {
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    fraction.bytes().take_while(u8::is_ascii_digit).count() as u8
}

impl Form {
    /// What holds values of both forms.
    pub(super) fn join(self, other: Self) -> Self {
        use Form as F;
        match (self, other) {
            (one, other) if one == other => one,
            (F::Fixed { whole, scale, padded }, F::Fixed { whole: more, scale: same, padded: also }) if scale == same => {
                F::Fixed { whole: whole.max(more), scale, padded: padded || also }
            }
            (F::Quoted { whole, scale, padded }, F::Quoted { whole: more, scale: same, padded: also }) if scale == same => {
                F::Quoted { whole: whole.max(more), scale, padded: padded || also }
            }
            (F::Whole | F::Fixed { .. } | F::Number, F::Whole | F::Fixed { .. } | F::Number) => F::Number,
            (F::Time(one), F::Time(other)) => F::Time(one.max(other)),
            (F::Timestamp(one), F::Timestamp(other)) => F::Timestamp(one.max(other)),
            (F::LocalTimestamp(one), F::LocalTimestamp(other)) => F::LocalTimestamp(one.max(other)),
            _ => F::Text,
        }
    }

    /// The Avro type.
    pub(super) fn avro(self) -> Value {
        let logical = |base: &str, logical: &str| json!({ "type": base, "logicalType": logical });
        match self {
            Self::Boolean => json!("boolean"),
            Self::Whole => json!("long"),
            Self::Fixed { whole, scale, padded } => decimal(whole, scale, padded).unwrap_or_else(|| json!("double")),
            Self::Quoted { whole, scale, padded } => decimal(whole, scale, padded).unwrap_or_else(|| json!("string")),
            Self::Number => json!("double"),
            Self::Date => logical("int", "date"),
            Self::Time(0..=3) => logical("int", "time-millis"),
            Self::Time(_) => logical("long", "time-micros"),
            Self::Timestamp(digits) => logical("long", &format!("timestamp-{}", unit(digits))),
            Self::LocalTimestamp(digits) => logical("long", &format!("local-timestamp-{}", unit(digits))),
            Self::Uuid => logical("string", "uuid"),
            Self::Text => json!("string"),
        }
    }
}

/// Numbers that are printed with as many digits everywhere are amounts: a float's printer would drop the zeros. There is
/// room for larger ones than were seen.
fn decimal(whole: u8, scale: u8, padded: bool) -> Option<Value> {
    let digits = u16::from(whole) + u16::from(scale);
    let precision = if digits <= 18 { 18 } else { 38 };
    let is_amount = padded && scale >= 2 && digits <= 38;
    is_amount.then(|| json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale }))
}

const fn unit(digits: u8) -> &'static str {
    match digits {
        0..=3 => "millis",
        4..=6 => "micros",
        _ => "nanos",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Value {
        texts.iter().map(|text| of_field(text)).reduce(Form::join).expect("some").avro()
    }

    #[test]
    fn numbers_are_told_from_names_that_look_like_them() {
        assert_eq!(all(&["1", "-20"]), json!("long"));
        assert_eq!(all(&["1", "2.5"]), json!("double"));
        assert_eq!(all(&["1e5", "2"]), json!("double"));
        assert_eq!(all(&["007", "12"]), json!("string"));
        assert_eq!(all(&["99999999999999999999"]), json!("double"));
        assert_eq!(all(&["NaN"]), json!("string"));
    }

    #[test]
    fn amounts_keep_their_digits() {
        assert_eq!(all(&["12.50", "3.99"])["scale"], 2);
        assert_eq!(all(&["12.51", "3.99"]), json!("double"), "nothing says that these were not floats");
        assert_eq!(all(&["12.50", "3.999"]), json!("double"));
        assert_eq!(of_string("12.50").avro()["logicalType"], "decimal");
        assert_eq!(of_string("12.51").avro(), json!("string"));
    }

    #[test]
    fn times_have_the_unit_that_their_digits_ask_for() {
        let logical = |texts: &[&str]| all(texts)["logicalType"].as_str().map(str::to_owned);
        assert_eq!(logical(&["2013-01-31"]).as_deref(), Some("date"));
        assert_eq!(logical(&["2013-01-31T05:30:00Z", "2013-01-31T05:30:00.000001+01:00"]).as_deref(), Some("timestamp-micros"));
        assert_eq!(logical(&["2013-01-31 05:30:00"]).as_deref(), Some("local-timestamp-millis"));
        assert_eq!(logical(&["05:30:00.25"]).as_deref(), Some("time-millis"));
        assert_eq!(all(&["2013-01-31", "2013-01-31T05:30:00Z"]), json!("string"));
        assert_eq!(all(&["20130131"]), json!("long"));
    }

    #[test]
    fn a_uuid_has_its_hyphens() {
        assert_eq!(all(&["7d444840-9dc0-11d1-b245-5ffdce74fad2"])["logicalType"], "uuid");
        assert_eq!(all(&["7d4448409dc011d1b2455ffdce74fad27d44"]), json!("string"));
    }
}
