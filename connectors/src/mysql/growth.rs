//! What a change of the schema asks of the table: columns that are added, types that are widened.

use std::collections::BTreeSet;

use super::target::{ColumnType, loaded};
use super::types::sql_type;
use crate::table::{Existing, Kind, Role, Target, unfit};
use millrace_model::Result;

/// What makes a table take rows of another schema.
#[derive(Debug, Default)]
pub(super) struct Growth {
    actions: Vec<String>,
    /// The columns that are added or widened.
    columns: BTreeSet<String>,
}

impl Growth {
    /// For rows of `after` where those of `before` were taken.
    ///
    /// An added column takes null: rows that are there have no value for it. A type is widened where the schema's was; one that the table has
    /// narrower than both keeps the choice of who made it.
    pub(super) fn of(before: &Target, after: &Target, existing: &[Existing<ColumnType>]) -> Self {
        let mut growth = Self::default();
        for field in after.schema.arrow().fields().iter().filter(|field| !after.is_key(field.name())) {
            let (name, Some(kind)) = (after.quotes.name(field.name()), Kind::of(field)) else { continue };
            let Some(column) = existing.iter().find(|column| column.name == *field.name()) else {
                growth.act(field.name(), format!("ADD COLUMN {name} {}", sql_type(kind, Role::Plain)));
                continue;
            };
            let earlier = before.schema.arrow().field_with_name(field.name()).ok();
            let wider = earlier.and_then(Kind::of).and_then(|earlier| widened(earlier, kind, &column.declared.shown));
            let takes_null = column.required && field.is_nullable() && earlier.is_some_and(|earlier| !earlier.is_nullable());
            if column.declared.is_plain && (wider.is_some() || takes_null) {
                let null = if column.required && !takes_null { "NOT NULL" } else { "NULL" };
                growth.act(field.name(), format!("MODIFY COLUMN {name} {} {null}", wider.unwrap_or_else(|| column.declared.in_full())));
            }
        }
        growth
    }

    fn act(&mut self, column: &str, action: String) {
        self.actions.push(action);
        self.columns.insert(column.to_owned());
    }

    /// The one statement that does it; none when there is nothing to do.
    pub(super) fn statement(&self, table: &str) -> Option<String> {
        (!self.actions.is_empty()).then(|| format!("ALTER TABLE {table} {}", self.actions.join(", ")))
    }

    /// Whether the table takes the rows when it is done. Asked before, for it can't be undone.
    pub(super) fn check(&self, after: &Target, existing: &[Existing<ColumnType>], unique: &[BTreeSet<String>]) -> Result<()> {
        let fields = after.schema.arrow().fields().iter();
        let fits =
            |kind, column: &Existing<ColumnType>| (self.columns.contains(&column.name) || loaded(kind, column).is_some()).then_some(());
        let added = fields.filter(|field| existing.iter().all(|column| column.name != *field.name())).filter_map(|field| {
            let declared = existing.first()?.declared.clone();
            self.columns.contains(field.name()).then(|| Existing {
                name: field.name().clone(),
                declared,
                required: false,
                has_default: false,
                generated: false,
            })
        });
        let grown: Vec<_> = existing.iter().cloned().chain(added).collect();
        let columns = grown.len();
        if columns > after.capabilities.columns {
            return Err(unfit(format!("{columns} columns are more than {} has in a table", after.capabilities.name)));
        }
        after.compare(&grown, unique, fits).map(drop)
    }
}

/// The type that a column, declared as it is shown, gets when its values change from one kind to another; none where it takes them as it is,
/// or where some that are there would change.
fn widened(before: Kind, after: Kind, declared: &str) -> Option<String> {
    match (before, after, declared.split('(').next().unwrap_or_default()) {
        (Kind::Int, Kind::Long, "tinyint" | "smallint" | "mediumint" | "int") if !declared.contains("unsigned") => Some("bigint".into()),
        (Kind::Int, Kind::Float | Kind::Double, "int" | "mediumint" | "smallint") | (Kind::Float, Kind::Double, "float")
            if !declared.contains("unsigned") =>
        {
            Some("double".into())
        }
        (Kind::Decimal { precision: before, scale }, Kind::Decimal { precision: after, scale: same }, "decimal")
            if before < after && scale == same && declared == format!("decimal({before},{scale})") =>
        {
            Some(sql_type(Kind::Decimal { precision: after, scale }, Role::Plain))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_widened_with_the_schemas_and_never_where_values_would_change() {
        assert_eq!(widened(Kind::Int, Kind::Long, "int(11)").as_deref(), Some("bigint"));
        assert_eq!(widened(Kind::Int, Kind::Long, "int").as_deref(), Some("bigint"));
        assert_eq!(widened(Kind::Float, Kind::Double, "float").as_deref(), Some("double"));
        let decimal = |precision, scale| Kind::Decimal { precision, scale };
        assert_eq!(widened(decimal(9, 2), decimal(20, 2), "decimal(9,2)").as_deref(), Some("decimal(20,2)"));
        assert_eq!(widened(decimal(9, 2), decimal(20, 2), "decimal(30,2)"), None);
        assert_eq!(widened(Kind::Long, Kind::Double, "bigint"), None);
        assert_eq!(widened(Kind::Int, Kind::Long, "int unsigned"), None);
    }
}
