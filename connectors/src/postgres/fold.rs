//! The merge of rows of which some lack columns: what a column was last given in the round counts, else what the table has.
//!
//! A round seldom has such rows, and this merge costs more than the plain one.

use std::collections::BTreeSet;

use super::stage::{DELETED, LEFT, SEQUENCE, STAGE};
use crate::table::{Target, quoted, quoted_list};

/// The statements of such a merge, for the range of the stage from `$1` to before `$2`.
#[derive(Debug, Clone)]
pub(super) struct Partial {
    /// Deletes the rows of all keys that are deleted anywhere in the range: a row that comes after it is a new one.
    pub(super) delete: String,
    /// Folds the rows that come after their key's last deletion into one for each key, and brings that into the target.
    pub(super) upsert: String,
}

impl Partial {
    /// For rows that lack some of `columns`, by their places in the schema.
    pub(super) fn of(target: &Target, columns: &BTreeSet<usize>) -> Self {
        let (table, keys) = (target.name.as_str(), target.keys());
        let range = format!("{SEQUENCE} >= $1 AND {SEQUENCE} < $2");
        let deleted = format!("(SELECT DISTINCT {keys} FROM {STAGE} WHERE {range} AND {DELETED}) s");
        let names: Vec<&str> = target.schema.arrow().fields().iter().map(|field| field.name().as_str()).collect();
        let others: Vec<(usize, &str)> = names.iter().copied().enumerate().filter(|(_, name)| !is_key(target, name)).collect();
        let folded: String = others.iter().map(|(number, name)| folded(*number, name, columns)).collect();
        let set: Vec<String> = others.iter().map(|(number, name)| set(*number, name, columns)).collect();
        let returned = target.table.keys.iter().map(|key| format!("t.{}", quoted(key))).collect::<Vec<_>>().join(", ");
        let all = quoted_list(names.iter().copied());
        Self {
            delete: format!("DELETE FROM {table} t USING {deleted} WHERE {}", same_key(target, "t", "s")),
            upsert: format!(
                "WITH s AS MATERIALIZED (SELECT {keys}{folded} FROM \
                 (SELECT *, max(CASE WHEN {DELETED} THEN {SEQUENCE} END) OVER (PARTITION BY {keys}) AS millrace_gone FROM {STAGE} WHERE {range}) r \
                 WHERE {SEQUENCE} > coalesce(millrace_gone, -1) GROUP BY {keys}), \
                 u AS (UPDATE {table} t SET {} FROM s WHERE {} RETURNING {returned}) \
                 INSERT INTO {table} ({all}) SELECT {all} FROM s WHERE NOT EXISTS (SELECT FROM u WHERE {}) {}",
                set.join(", "),
                same_key(target, "t", "s"),
                same_key(target, "u", "s"),
                target.on_conflict(&names),
            ),
        }
    }
}

/// That two relations have the same key.
pub(super) fn same_key(target: &Target, one: &str, other: &str) -> String {
    target.table.keys.iter().map(|key| format!("{one}.{0} = {other}.{0}", quoted(key))).collect::<Vec<_>>().join(" AND ")
}

fn is_key(target: &Target, name: &str) -> bool {
    target.table.keys.iter().any(|key| key == name)
}

/// The last value that a column was given; for one that rows lack also whether none gave it any.
fn folded(number: usize, name: &str, lacking: &BTreeSet<usize>) -> String {
    let column = quoted(name);
    if !lacking.contains(&number) {
        return format!(", (array_agg({column} ORDER BY {SEQUENCE} DESC))[1] AS {column}");
    }
    let left = format!("coalesce(get_bit({LEFT}, {number}), 0) = 1");
    format!(
        ", (array_agg({column} ORDER BY {SEQUENCE} DESC) FILTER (WHERE NOT {left}))[1] AS {column}, bool_and({left}) AS millrace_left_{number}"
    )
}

fn set(number: usize, name: &str, lacking: &BTreeSet<usize>) -> String {
    let column = quoted(name);
    if lacking.contains(&number) {
        format!("{column} = CASE WHEN s.millrace_left_{number} THEN t.{column} ELSE s.{column} END")
    } else {
        format!("{column} = s.{column}")
    }
}
