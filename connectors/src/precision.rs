//! Columns of which a target keeps fewer digits than records have. Decimals lose none: every target has types for all of their digits,
//! or keeps them as text.

use arrow::datatypes::{DataType, TimeUnit};
use millrace_model::Schema;

use crate::config::Connection;

impl Connection {
    /// The columns of a table for the schema whose nanoseconds are cut to microseconds.
    pub fn cut_columns<'a>(&self, schema: &'a Schema) -> Vec<&'a str> {
        if !self.keeps_microseconds() {
            return Vec::new();
        }
        let counts_nanoseconds =
            |kind: &DataType| matches!(kind, DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Time64(TimeUnit::Nanosecond));
        let fields = schema.arrow().fields().iter().filter(|field| counts_nanoseconds(field.data_type()));
        fields.map(|field| field.name().as_str()).collect()
    }

    /// Whether microseconds are the finest that its times have. The others keep them as text.
    const fn keeps_microseconds(&self) -> bool {
        matches!(self, Self::Postgres(_) | Self::Mysql(_) | Self::Redshift(_))
    }
}
