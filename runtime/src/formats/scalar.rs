//! Values of one piece from their text: the forms that JSON and CSV share.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, Unit as Calendar};
use uuid::Uuid;

use super::datum::Datum;
use super::shape::{Kind, Unit};

/// A value, or what there is to say beyond "expected a …, found …"; often nothing.
pub(super) type Fit<T> = Result<T, Cow<'static, str>>;

const NOTHING_MORE: Cow<'static, str> = Cow::Borrowed("");
const OUT_OF_RANGE: Cow<'static, str> = Cow::Borrowed("which is out of range");

/// A value of a type that is written as a text.
pub(super) fn of_text<'a>(kind: &Kind, text: Cow<'a, str>) -> Fit<Datum<'a>> {
    match kind {
        Kind::String => Ok(Datum::Text(text)),
        Kind::Bytes => bytes(&text, None),
        Kind::Fixed(size) => bytes(&text, Some(*size)),
        Kind::Enum(symbols) => symbol(symbols, &text),
        Kind::Decimal { precision, scale } => decimal(&text, *precision, *scale).map(Datum::Decimal),
        Kind::Uuid => uuid(&text).map(|uuid| Datum::Bytes(Cow::Owned(uuid.as_bytes().to_vec()))),
        Kind::UuidText => uuid(&text).map(|_| Datum::Text(text)),
        Kind::Date => date(&text).map(Datum::Integer),
        Kind::Time(unit) => time(&text, *unit).map(Datum::Integer),
        Kind::Timestamp(unit) => timestamp(&text, *unit).map(Datum::Integer),
        Kind::LocalTimestamp(unit) => local_timestamp(&text, *unit).map(Datum::Integer),
        _ => Err(NOTHING_MORE),
    }
}

/// A value of a type that is written as a number.
pub(super) fn of_number(kind: &Kind, text: &str) -> Fit<Datum<'static>> {
    match kind {
        Kind::Int => int(text).map(Datum::Integer),
        Kind::Long | Kind::Timestamp(_) | Kind::LocalTimestamp(_) => integer(text).map(Datum::Integer),
        Kind::Float => float(text).map(Datum::Float),
        Kind::Double => double(text).map(Datum::Float),
        Kind::Decimal { precision, scale } => decimal(text, *precision, *scale).map(Datum::Decimal),
        _ => Err(NOTHING_MORE),
    }
}

/// A value of any type of one piece, as a CSV field writes it.
pub(super) fn of_field<'a>(kind: &Kind, text: &'a str) -> Fit<Datum<'a>> {
    match kind {
        Kind::Boolean => boolean(text).map(Datum::Boolean),
        Kind::Int | Kind::Long | Kind::Float | Kind::Double => of_number(kind, text),
        Kind::Timestamp(_) | Kind::LocalTimestamp(_) if is_integer(text) => of_number(kind, text),
        _ => of_text(kind, Cow::Borrowed(text)),
    }
}

fn boolean(text: &str) -> Fit<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(NOTHING_MORE),
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn integer(text: &str) -> Fit<i64> {
    if !is_integer(text) {
        return Err(NOTHING_MORE);
    }
    text.parse().map_err(|_| OUT_OF_RANGE)
}

fn int(text: &str) -> Fit<i64> {
    let value = integer(text)?;
    i32::try_from(value).map(i64::from).map_err(|_| OUT_OF_RANGE)
}

fn double(text: &str) -> Fit<f64> {
    finite(text, text.parse().map_err(|_| NOTHING_MORE)?)
}

fn float(text: &str) -> Fit<f64> {
    let value: f32 = text.parse().map_err(|_| NOTHING_MORE)?;
    finite(text, f64::from(value))
}

/// A double as a float: rounded, but not to infinity.
pub(super) fn narrowed(value: f64) -> Fit<f64> {
    let narrow = f64::from(value as f32);
    if narrow.is_infinite() && value.is_finite() { Err(OUT_OF_RANGE) } else { Ok(narrow) }
}

/// Rust reads `inf` and `nan`, and makes infinity of what is too large.
fn finite(text: &str, value: f64) -> Fit<f64> {
    match value {
        _ if value.is_finite() => Ok(value),
        _ if text.bytes().any(|byte| byte.is_ascii_digit()) => Err(OUT_OF_RANGE),
        _ => Err("which is not a number; name it as a null marker if it means null".into()),
    }
}

fn bytes(text: &str, size: Option<usize>) -> Fit<Datum<'static>> {
    let bytes = BASE64.decode(text).map_err(|error| Cow::Owned(format!("which is not base64: {error}")))?;
    match size {
        Some(size) if size != bytes.len() => Err(format!("which holds {} bytes", bytes.len()).into()),
        _ => Ok(Datum::Bytes(Cow::Owned(bytes))),
    }
}

fn symbol(symbols: &[String], text: &str) -> Fit<Datum<'static>> {
    symbols.iter().position(|symbol| symbol == text).map(Datum::Symbol).ok_or(NOTHING_MORE)
}

fn uuid(text: &str) -> Fit<Uuid> {
    const WITH_HYPHENS: usize = 36;
    if text.len() != WITH_HYPHENS {
        return Err(NOTHING_MORE);
    }
    Uuid::try_parse(text).map_err(|_| NOTHING_MORE)
}

/// Days since 1970-01-01.
fn date(text: &str) -> Fit<i64> {
    const YEAR_MONTH_DAY: usize = 10;
    if text.len() != YEAR_MONTH_DAY {
        return Err(NOTHING_MORE);
    }
    let date: Date = text.parse().map_err(|_| NOTHING_MORE)?;
    let days = Date::constant(1970, 1, 1).until((Calendar::Day, date)).map_err(|_| OUT_OF_RANGE)?;
    Ok(i64::from(days.get_days()))
}

fn time(text: &str, unit: Unit) -> Fit<i64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')) || !text.contains(':') {
        return Err(NOTHING_MORE);
    }
    let time: Time = text.parse().map_err(|_| NOTHING_MORE)?;
    in_unit(time.duration_since(Time::midnight()).as_nanos(), unit)
}

fn timestamp(text: &str, unit: Unit) -> Fit<i64> {
    let timestamp: Timestamp = text.parse().map_err(|_| detail_of_timestamp(text))?;
    in_unit(timestamp.as_nanosecond(), unit)
}

fn detail_of_timestamp(text: &str) -> Cow<'static, str> {
    if text.parse::<DateTime>().is_ok() { "which has no offset such as Z or +01:00".into() } else { NOTHING_MORE }
}

fn local_timestamp(text: &str, unit: Unit) -> Fit<i64> {
    if text.parse::<Timestamp>().is_ok() {
        return Err("which has an offset".into());
    }
    if !text.contains(':') || text.contains('[') {
        return Err(NOTHING_MORE);
    }
    let local: DateTime = text.parse().map_err(|_| NOTHING_MORE)?;
    in_unit(local.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_nanos(), unit)
}

/// Nothing is rounded: what the unit can't hold is refused.
pub(super) fn in_unit(nanos: i128, unit: Unit) -> Fit<i64> {
    let per_unit = i128::from(unit.nanos());
    if nanos % per_unit != 0 {
        return Err(format!("which is finer than {}", unit.name()).into());
    }
    i64::try_from(nanos / per_unit).map_err(|_| OUT_OF_RANGE)
}

/// The unscaled value of a decimal number in any notation, if it is exact in `scale` and has no more than `precision` digits.
fn decimal(text: &str, precision: u8, scale: i8) -> Fit<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NOTHING_MORE);
    }
    let exponent: i32 = exponent.parse().map_err(|_| NOTHING_MORE)?;
    let shift = i64::from(scale) + i64::from(exponent) - fraction.len() as i64;
    let unscaled = shifted(digits.trim_start_matches('0'), shift, precision, scale)?;
    if unscaled.is_empty() {
        return Ok(0);
    }
    let value: i128 = unscaled.parse().map_err(|_| OUT_OF_RANGE)?;
    Ok(if negative { -value } else { value })
}

/// `digits` (no leading zeros) with the point moved right by `shift`, without losing a digit.
fn shifted(digits: &str, shift: i64, precision: u8, scale: i8) -> Fit<String> {
    let moved = if shift < 0 {
        let kept = digits.len().saturating_sub(shift.unsigned_abs() as usize);
        if digits[kept..].bytes().any(|byte| byte != b'0') {
            return Err(format!("which has more than {scale} decimals").into());
        }
        digits[..kept].to_owned()
    } else if digits.is_empty() {
        String::new()
    } else {
        // Further zeros than `precision` are too many already, however many they are.
        let zeros = shift.min(i64::from(precision) + 1) as usize;
        format!("{digits}{}", "0".repeat(zeros))
    };
    if moved.len() > usize::from(precision) {
        return Err(format!("which has more than {precision} digits").into());
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_has_neither_fraction_nor_exponent_and_stays_in_its_range() {
        assert_eq!(int("-2147483648"), Ok(-2_147_483_648));
        assert_eq!(int("2147483648"), Err(OUT_OF_RANGE));
        assert_eq!(integer("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(integer("9223372036854775808"), Err(OUT_OF_RANGE));
        for text in ["1.0", "1e3", "", "-", "+1", " 1", "0x1"] {
            assert_eq!(integer(text), Err(NOTHING_MORE), "{text}");
        }
    }

    #[test]
    fn a_float_is_never_infinite_nor_not_a_number() {
        assert_eq!(float("1e39"), Err(OUT_OF_RANGE));
        assert_eq!(double("1e39"), Ok(1e39));
        assert_eq!(double("-1e400"), Err(OUT_OF_RANGE));
        for text in ["NaN", "inf", "-Infinity"] {
            assert!(double(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_decimal_is_exact_or_refused() {
        let cents = |text: &str| decimal(text, 5, 2).map(|value| value.to_string());
        for (text, unscaled) in [
            ("1.5", "150"),
            ("-1.50", "-150"),
            ("1.500", "150"),
            ("12e1", "12000"),
            ("0.1e-1", "1"),
            ("0", "0"),
            ("-0.00", "0"),
            ("0e999999", "0"),
            ("999.99", "99999"),
        ] {
            assert_eq!(cents(text).as_deref(), Ok(unscaled), "{text}");
        }
        for text in ["1.005", "1000", "1e999999", "1e-999999", "1e99999999999", "", ".", "-", "1,5", "--1", "0x1", "1e"] {
            assert!(cents(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_large_decimal_keeps_every_digit() {
        let digits = "12345678901234567890123456789012345678";
        assert_eq!(decimal(digits, 38, 0).map(|value| value.to_string()).as_deref(), Ok(digits));
    }

    #[test]
    fn dates_and_times_are_iso_and_are_not_rounded() {
        assert_eq!(date("1970-01-02"), Ok(1));
        assert_eq!(date("1969-12-31"), Ok(-1));
        assert_eq!(time("00:00:01.250", Unit::Millis), Ok(1250));
        assert_eq!(timestamp("1970-01-01T01:00:00+01:00", Unit::Millis), Ok(0));
        assert_eq!(local_timestamp("1970-01-01T00:00:01", Unit::Micros), Ok(1_000_000));
        for text in ["1970-1-2", "19700102", "1970-02-30", "1970-01-02T00:00:00", "yesterday"] {
            assert!(date(text).is_err(), "{text}");
        }
        for text in ["0:00", "24:00:00", "T10:00", "10", "00:00:00.0001"] {
            assert!(time(text, Unit::Millis).is_err(), "{text}");
        }
    }

    #[test]
    fn a_timestamp_says_its_offset_and_a_local_one_has_none() {
        assert_eq!(timestamp("1970-01-01T00:00:00", Unit::Millis), Err("which has no offset such as Z or +01:00".into()));
        assert_eq!(local_timestamp("1970-01-01T00:00:00Z", Unit::Millis), Err("which has an offset".into()));
        assert_eq!(timestamp("1970-01-01T00:00:00.0005Z", Unit::Millis), Err("which is finer than milliseconds".into()));
        assert_eq!(timestamp("9999-12-30T00:00:00Z", Unit::Nanos), Err(OUT_OF_RANGE));
    }

    #[test]
    fn bytes_are_base64_of_the_right_size() {
        assert_eq!(bytes("AAE=", Some(2)), Ok(Datum::Bytes(Cow::Owned(vec![0, 1]))));
        assert!(bytes("AAE=", Some(3)).is_err());
        assert!(bytes("AAE", None).is_err());
        assert!(uuid("{550e8400e29b41d4a716446655440000}").is_err());
        assert!(uuid("550e8400-e29b-41d4-a716-446655440000").is_ok());
    }
}
