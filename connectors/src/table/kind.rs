//! The kinds of columns that the codec decodes into, as far as tables tell them apart.

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing but nulls.
    Null,
    Boolean,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    Float,
    Double,
    Text,
    /// A text out of a list: an Avro enum.
    Symbol,
    Bytes,
    /// Bytes of a fixed length.
    Fixed,
    Uuid,
    /// Up to 38 digits in all, `scale` of them behind the point.
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// As `Decimal`, up to 76 digits.
    WideDecimal {
        precision: u8,
        scale: i8,
    },
    /// Days since the epoch.
    Date,
    Time(Unit),
    /// An instant, or without `utc` what a calendar and a clock on the wall show.
    Timestamp {
        unit: Unit,
        utc: bool,
    },
    /// Months, days and nanoseconds.
    Duration,
    /// A list, map or record, or a union of several types.
    Nested,
}

/// What a time of day or a timestamp counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Kind {
    /// The kind of a column; none when no table holds it.
    pub(crate) fn of(field: &Field) -> Option<Self> {
        Some(match field.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean,
            DataType::Int32 => Self::Int,
            DataType::Int64 => Self::Long,
            DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Utf8 => Self::Text,
            DataType::Dictionary(keys, values) if **keys == DataType::Int32 && **values == DataType::Utf8 => Self::Symbol,
            DataType::Binary => Self::Bytes,
            DataType::FixedSizeBinary(16) if is_uuid(field) => Self::Uuid,
            DataType::FixedSizeBinary(_) => Self::Fixed,
            &DataType::Decimal128(precision, scale) => Self::Decimal { precision, scale },
            &DataType::Decimal256(precision, scale) => Self::WideDecimal { precision, scale },
            other => return Self::of_time(other).or_else(|| Self::of_nested(other)),
        })
    }

    fn of_time(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Date32 => Self::Date,
            DataType::Time32(TimeUnit::Millisecond) => Self::Time(Unit::Millisecond),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Unit::Microsecond),
            DataType::Timestamp(unit, zone) => Self::Timestamp { unit: Unit::of(*unit)?, utc: zone.is_some() },
            DataType::Interval(IntervalUnit::MonthDayNano) => Self::Duration,
            _ => return None,
        })
    }

    fn of_nested(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::List(item) => is_storable(item).then_some(Self::Nested),
            DataType::Map(entries, _) => is_storable(entries).then_some(Self::Nested),
            DataType::Struct(fields) => fields.iter().all(|field| is_storable(field)).then_some(Self::Nested),
            DataType::Union(branches, _) => branches.iter().all(|(_, branch)| is_storable(branch)).then_some(Self::Nested),
            _ => None,
        }
    }

    /// Whether equality of values tells rows apart, in every table store.
    pub(crate) fn is_comparable(self) -> bool {
        !matches!(self, Self::Null | Self::Float | Self::Double | Self::Duration | Self::Nested)
    }
}

impl Unit {
    fn of(unit: TimeUnit) -> Option<Self> {
        match unit {
            TimeUnit::Second => None,
            TimeUnit::Millisecond => Some(Self::Millisecond),
            TimeUnit::Microsecond => Some(Self::Microsecond),
            TimeUnit::Nanosecond => Some(Self::Nanosecond),
        }
    }

    /// A count of this unit in microseconds, the finer part cut off; none when it does not fit.
    pub(crate) fn micros(self, count: i64) -> Option<i64> {
        match self {
            Self::Millisecond => count.checked_mul(1_000),
            Self::Microsecond => Some(count),
            Self::Nanosecond => Some(count.div_euclid(1_000)),
        }
    }
}

fn is_storable(field: &Field) -> bool {
    Kind::of(field).is_some()
}

/// Whether 16 bytes are a UUID: the codec keeps Avro's `logicalType` beside the field.
pub(crate) fn is_uuid(field: &Field) -> bool {
    let metadata = field.metadata();
    metadata.get("logicalType").is_some_and(|logical| logical == "uuid")
        || metadata.get("ARROW:extension:name").is_some_and(|extension| extension == "arrow.uuid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn kind(data_type: DataType) -> Option<Kind> {
        Kind::of(&Field::new("c", data_type, true))
    }

    #[test]
    fn sixteen_bytes_are_a_uuid_only_where_the_schema_says_so() {
        assert_eq!(kind(DataType::FixedSizeBinary(16)), Some(Kind::Fixed));
        let field = Field::new("c", DataType::FixedSizeBinary(16), true).with_metadata([("logicalType".into(), "uuid".into())].into());
        assert_eq!(Kind::of(&field), Some(Kind::Uuid));
    }

    #[test]
    fn a_nested_type_is_storable_when_all_that_it_holds_is() {
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        assert_eq!(kind(list(list(DataType::Int32))), Some(Kind::Nested));
        assert_eq!(kind(list(DataType::Timestamp(TimeUnit::Second, None))), None);
    }

    #[test]
    fn time_before_the_epoch_is_cut_towards_the_past() {
        assert_eq!(Unit::Nanosecond.micros(-1), Some(-1));
        assert_eq!(Unit::Millisecond.micros(i64::MAX), None);
    }
}
