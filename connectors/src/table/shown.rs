//! Dates and times as text.

use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::FormatOptions;

/// ISO 8601, as many digits as the unit has.
pub(crate) fn iso_8601(data_type: &DataType) -> FormatOptions<'static> {
    let options = FormatOptions::new().with_display_error(false);
    match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, Some(_)) => options.with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.3fZ")),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => options.with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ")),
        DataType::Timestamp(_, Some(_)) => options.with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.9fZ")),
        DataType::Timestamp(TimeUnit::Millisecond, None) => options.with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.3f")),
        DataType::Timestamp(TimeUnit::Microsecond, None) => options.with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6f")),
        DataType::Timestamp(_, None) => options.with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.9f")),
        DataType::Time32(_) => options.with_time_format(Some("%H:%M:%S%.3f")),
        DataType::Time64(_) => options.with_time_format(Some("%H:%M:%S%.6f")),
        _ => options,
    }
}
