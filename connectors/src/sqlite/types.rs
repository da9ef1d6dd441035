//! Which columns hold which kinds of values.

use crate::table::Kind;

/// How SQLite stores a value (<https://www.sqlite.org/datatype3.html>, "Storage Classes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    Integer,
    Real,
    Text,
    Blob,
}

fn storage(kind: Kind) -> Storage {
    match kind {
        Kind::Boolean | Kind::Int | Kind::Long => Storage::Integer,
        Kind::Float | Kind::Double => Storage::Real,
        Kind::Bytes | Kind::Fixed => Storage::Blob,
        _ => Storage::Text,
    }
}

/// The type that a new table gets for a kind of column.
pub(super) fn sql_type(kind: Kind) -> String {
    match storage(kind) {
        Storage::Integer => "INTEGER",
        Storage::Real => "REAL",
        Storage::Text => "TEXT",
        Storage::Blob => "BLOB",
    }
    .into()
}

/// Whether a column of a declared type keeps the values of a kind as they are: its affinity (same page, 3.1) may turn them into others.
pub(super) fn keeps(declared: &str, kind: Kind) -> bool {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    let storage = storage(kind);
    if has("INT") {
        return storage == Storage::Integer;
    }
    if has("CHAR") || has("CLOB") || has("TEXT") {
        return storage == Storage::Text;
    }
    if declared.is_empty() || has("BLOB") || declared == "ANY" {
        return true;
    }
    if has("REAL") || has("FLOA") || has("DOUB") {
        return storage == Storage::Real;
    }
    keeps_as_numeric(kind, storage)
}

/// Numeric affinity turns text into a number where it looks like one; dates, times and UUIDs never do.
fn keeps_as_numeric(kind: Kind, storage: Storage) -> bool {
    match storage {
        Storage::Integer | Storage::Real | Storage::Blob => true,
        Storage::Text => matches!(kind, Kind::Date | Kind::Time(_) | Kind::Timestamp { .. } | Kind::Nested | Kind::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Unit;

    #[test]
    fn a_column_that_would_change_values_does_not_keep_them() {
        let decimal = Kind::Decimal { precision: 10, scale: 2 };
        assert!(keeps("TEXT", decimal) && keeps("varchar(20)", decimal) && keeps("", decimal));
        assert!(!keeps("DECIMAL(10,2)", decimal) && !keeps("REAL", decimal));
        assert!(keeps("bigint", Kind::Long) && keeps("NUMERIC", Kind::Long) && keeps("BOOLEAN", Kind::Boolean));
        assert!(!keeps("DOUBLE", Kind::Long) && !keeps("TEXT", Kind::Long));
        assert!(keeps("DATETIME", Kind::Timestamp { unit: Unit::Millisecond, utc: true }));
    }
}
