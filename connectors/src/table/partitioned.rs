//! Tables that are cut into partitions by a column.

use millrace_model::Schema;

use super::{Kind, quoted};
use crate::table_config::{Capabilities, Mode, Partitioning, TableConfig};

/// Why a table can't have the partitions that are asked for, and what to do about it.
pub(crate) fn misfit(table: &TableConfig, schema: &Schema, target: &Capabilities) -> Option<String> {
    let by = table.partition_by.as_ref()?;
    let column = &by.column;
    if target.partitions.is_empty() {
        return Some(format!("tables of {} have no partitions by column: leave `partition_by` out", target.name));
    }
    if !target.partitions.contains(&by.by) {
        let able = target.partitions.iter().map(|by| by.as_str()).collect::<Vec<_>>().join(", ");
        return Some(format!("tables of {} have no partitions by {}; they can by {able}", target.name, by.by.as_str()));
    }
    if table.mode == Mode::Replace {
        return Some("a table that whole loads replace has no partitions: leave `partition_by` out".to_owned());
    }
    let Ok(field) = schema.arrow().field_with_name(column) else {
        return Some(format!("the table gets no column {column:?} to be partitioned by"));
    };
    let kind = Kind::of(field)?;
    if by.by.is_range() && !matches!(kind, Kind::Date | Kind::Timestamp { .. }) {
        return Some(format!("the column {column:?} is no date or timestamp: partition by list or hash, or by another column"));
    }
    if !kind.is_comparable() {
        return Some(format!("the column {column:?} is of type {}, which can't tell partitions apart", field.data_type()));
    }
    if table.mode.is_keyed() && !table.keys.contains(column) {
        return Some(format!("the primary key of a partitioned table has its partition column: add {column:?} to `keys`"));
    }
    let idle = by.partitions.is_some() && by.by != Partitioning::Hash;
    idle.then(|| "a number of partitions belongs to `by: hash`: leave `partitions` out".to_owned())
}

/// What stands after the columns of a new table.
pub(super) fn clause(table: &TableConfig) -> String {
    let Some(by) = &table.partition_by else { return String::new() };
    format!(" PARTITION BY {} ({})", method(by.by), quoted(&by.column))
}

/// The method of SQL.
pub(crate) const fn method(by: Partitioning) -> &'static str {
    match by {
        Partitioning::Day | Partitioning::Month | Partitioning::Year => "RANGE",
        Partitioning::List => "LIST",
        Partitioning::Hash => "HASH",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table_config::PartitionBy;
    use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
    use serde_json::json;
    use std::sync::Arc;

    fn told(column: &str, by: Partitioning, keys: &[&str]) -> Option<String> {
        let fields = vec![
            Field::new("id", DataType::Int64, false),
            Field::new("day", DataType::Date32, false),
            Field::new("share", DataType::Float64, false),
        ];
        let schema = Schema::new(json!({"type": "record", "name": "order"}), Arc::new(ArrowSchema::new(fields)));
        let mode = if keys.is_empty() { Mode::Append } else { Mode::Upsert };
        let partition_by = Some(PartitionBy { column: column.into(), by, partitions: None });
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        let table = TableConfig { pipeline: "p.load".into(), table: "orders".into(), mode, keys, partition_by, redis: None };
        let target = Capabilities {
            name: "Test",
            modes: &[],
            partitions: if column == "none" { &[] } else { Partitioning::ALL },
            columns: 9,
            columns_of_stage: 0,
            columns_of_loading: 2,
            grows: true,
        };
        misfit(&table, &schema, &target)
    }

    #[test]
    fn partitions_that_can_not_be_say_what_to_do() {
        assert_eq!(told("day", Partitioning::Month, &[]), None);
        assert_eq!(told("day", Partitioning::Month, &["id", "day"]), None);
        assert_eq!(told("id", Partitioning::Hash, &["id"]), None);
        let told = |column, by, keys: &[&str]| told(column, by, keys).expect("can't be");
        assert!(told("day", Partitioning::Month, &["id"]).contains("add \"day\" to `keys`"));
        assert!(told("id", Partitioning::Day, &[]).contains("no date or timestamp"));
        assert!(told("share", Partitioning::List, &[]).contains("can't tell partitions apart"));
        assert!(told("dya", Partitioning::Day, &[]).contains("gets no column \"dya\""));
        assert!(told("none", Partitioning::Day, &[]).contains("leave `partition_by` out"));
    }
}
