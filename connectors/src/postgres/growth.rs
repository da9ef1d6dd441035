//! What a change of the schema asks of the table: columns that are added, types that are widened.

use std::fmt::Write as _;

use super::target::ColumnType;
use super::types::sql_type;
use crate::table::{Existing, Kind, Target, quoted};

/// The statements that make the table take rows of `after` where it took those of `before`. Each does nothing where another loader has
/// done it already.
///
/// An added column takes null: rows that are there have no value for it. A type is widened where the schema's was; one that the
/// table has narrower than both keeps the choice of who made it.
pub(super) fn statements(before: &Target, after: &Target, existing: &[Existing<ColumnType>]) -> Vec<String> {
    let actions = after.schema.arrow().fields().iter().filter(|field| !after.is_key(field.name())).flat_map(|field| {
        let (name, kind) = (quoted(field.name()), Kind::of(field));
        let Some(column) = existing.iter().find(|column| column.name == *field.name()) else {
            return kind.map(|kind| format!("ADD COLUMN IF NOT EXISTS {name} {}", sql_type(kind))).into_iter().collect::<Vec<_>>();
        };
        let earlier = before.schema.arrow().field_with_name(field.name()).ok();
        let wider = earlier.and_then(Kind::of).zip(kind).and_then(|(earlier, kind)| widened(earlier, kind, &column.declared.shown));
        let takes_null = column.required && field.is_nullable() && earlier.is_some_and(|earlier| !earlier.is_nullable());
        let wider = wider.map(|sql_type| format!("ALTER COLUMN {name} TYPE {sql_type}"));
        wider.into_iter().chain(takes_null.then(|| format!("ALTER COLUMN {name} DROP NOT NULL"))).collect()
    });
    let mut actions = actions.peekable();
    if actions.peek().is_none() {
        return Vec::new();
    }
    let mut sql = format!("ALTER TABLE {} ", after.name);
    for (number, action) in actions.enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        write!(sql, "{comma}{action}").expect("a String takes any text");
    }
    vec![sql]
}

/// The type that a column, declared as it is shown, gets when its values change from one kind to another; none where it takes them as it is,
/// or where some that are there would change.
fn widened(before: Kind, after: Kind, declared: &str) -> Option<String> {
    match (before, after, declared) {
        (Kind::Int, Kind::Long, "smallint" | "integer") => Some("bigint".into()),
        (Kind::Int, Kind::Float | Kind::Double, "smallint" | "integer") | (Kind::Float, Kind::Double, "real") => {
            Some("double precision".into())
        }
        (Kind::Decimal { precision: before, scale }, Kind::Decimal { precision: after, scale: same }, declared)
            if before < after && scale == same && declared == format!("numeric({before},{scale})") =>
        {
            Some(format!("numeric({after},{scale})"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_widened_with_the_schemas_and_never_where_values_would_change() {
        assert_eq!(widened(Kind::Int, Kind::Long, "integer").as_deref(), Some("bigint"));
        assert_eq!(widened(Kind::Float, Kind::Double, "real").as_deref(), Some("double precision"));
        let decimal = |precision, scale| Kind::Decimal { precision, scale };
        assert_eq!(widened(decimal(9, 2), decimal(20, 2), "numeric(9,2)").as_deref(), Some("numeric(20,2)"));
        assert_eq!(widened(decimal(9, 2), decimal(20, 2), "numeric(30,2)"), None);
        assert_eq!(widened(Kind::Long, Kind::Double, "bigint"), None);
        assert_eq!(widened(Kind::Int, Kind::Long, "numeric"), None);
    }
}
