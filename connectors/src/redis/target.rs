//! What a table's rows are in Redis, told from the schema alone.

use arrow::datatypes::{Field, FieldRef};
use millrace_model::{Result, Schema};

use super::CAPABILITIES;
use super::config::{Form, Rows};
use super::key::{KeyTemplate, OWN};
use crate::table::{Column, Kind, check, unfit};
use crate::table_config::{Mode, TableConfig};

/// A table, the schema of the rows that it is to take, and where they go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) table: TableConfig,
    pub(super) schema: Schema,
    pub(super) form: Form,
    pub(super) key: KeyTemplate,
    /// How long a row stays, in milliseconds.
    pub(super) ttl: Option<u64>,
}

impl Target {
    /// Of rows of the schema.
    pub(super) fn new(table: &TableConfig, schema: &Schema) -> Result<Self> {
        check(table, schema, &CAPABILITIES, |_, _| String::new())?;
        if let Some((setting, reason)) = misfit(table, schema) {
            return Err(unfit(format!("`redis.{setting}`: {reason}")));
        }
        let Rows { form, key: _, ttl } = table.redis.clone().unwrap_or_default();
        let key = template(table).map_err(unfit)?;
        let ttl = ttl.map(|ttl| ttl.duration().as_millis() as u64);
        Ok(Self { table: table.clone(), schema: schema.clone(), form, key, ttl })
    }

    /// What is kept of a row.
    pub(super) fn columns(&self) -> Vec<Column> {
        let kept = self.schema.arrow().fields().iter().filter(|field| self.keeps(field));
        kept.map(|field| Column { name: field.name().clone(), sql_type: self.type_of(field), nullable: field.is_nullable() }).collect()
    }

    /// Whether a column is part of the key or of the value.
    fn keeps(&self, field: &Field) -> bool {
        match &self.form {
            Form::Column(column) => field.name() == column || self.table.keys.contains(field.name()),
            Form::Hash | Form::Json => true,
        }
    }

    /// What the bytes are.
    fn type_of(&self, field: &Field) -> String {
        let kind = Kind::of(field);
        let name = match (&self.form, kind) {
            (Form::Json, Some(Kind::Boolean)) => "boolean",
            (Form::Json, Some(Kind::Int | Kind::Long | Kind::Float | Kind::Double | Kind::Decimal { .. } | Kind::WideDecimal { .. })) => {
                "number"
            }
            (_, Some(Kind::Nested)) => "json",
            (Form::Hash | Form::Column(_), Some(Kind::Bytes | Kind::Fixed)) => "bytes",
            _ => "text",
        };
        name.into()
    }

    /// The fields of some of the schema's columns, as the schema has them: a batch of keys does not say which bytes are UUIDs.
    pub(super) fn fields(&self, columns: &arrow::datatypes::Schema) -> Vec<FieldRef> {
        let known = |field: &FieldRef| self.schema.arrow().fields().find(field.name()).map_or(field, |(_, known)| known).clone();
        columns.fields().iter().map(known).collect()
    }

    /// The type of a key's value, as `TYPE` says it.
    pub(super) const fn value_type(&self) -> &'static str {
        match self.form {
            Form::Hash => "hash",
            Form::Json | Form::Column(_) => "string",
        }
    }

    /// The first key column that another target would write otherwise.
    pub(super) fn other_key<'a>(&self, other: &'a Self) -> Option<&'a str> {
        let kind = |target: &Self, key: &str| target.schema.arrow().field_with_name(key).ok().and_then(Kind::of);
        let is_other = |key: &&String| match (kind(self, key), kind(other, key)) {
            (Some(Kind::Int | Kind::Long), Some(Kind::Int | Kind::Long))
            | (Some(Kind::Text | Kind::Symbol), Some(Kind::Text | Kind::Symbol)) => false,
            (was, is) => was != is,
        };
        other.table.keys.iter().find(is_other).map(String::as_str)
    }

    /// The set of the keys of all rows, where rows may be asked to go all at once.
    pub(super) fn index(&self) -> Option<String> {
        (self.table.mode == Mode::Mirror).then(|| format!("{OWN}rows:{}", self.table.pipeline))
    }
}

/// The first setting that can't be used, and why.
pub(crate) fn misfit(table: &TableConfig, schema: &Schema) -> Option<(&'static str, String)> {
    let Rows { form, ttl, .. } = table.redis.clone().unwrap_or_default();
    if let Err(reason) = template(table) {
        return Some(("key", reason));
    }
    if ttl.is_some_and(|ttl| ttl.duration().is_zero()) {
        return Some(("ttl", "rows would be gone at once: leave it out, or give them time".into()));
    }
    let Form::Column(column) = form else { return None };
    let Ok(field) = schema.arrow().field_with_name(&column) else {
        return Some(("as", format!("the table gets no column {column:?}")));
    };
    table.keys.contains(field.name()).then(|| ("as", format!("the column {column:?} is part of the key: name another one")))
}

/// The template of a table's keys, or what is wrong with it.
fn template(table: &TableConfig) -> Result<KeyTemplate, String> {
    let written = table.redis.as_ref().and_then(|rows| rows.key.as_deref());
    let template = match written {
        Some(written) => KeyTemplate::read(written, &table.keys)?,
        None => KeyTemplate::standard(&table.table, &table.keys),
    };
    if template.prefix().starts_with(OWN) {
        return Err(format!("keys that begin with `{OWN}` are Millrace's own: name another prefix"));
    }
    Ok(template)
}

/// The keys of a table's rows, for people.
pub(crate) fn keys_of(table: &TableConfig) -> String {
    let written = table.redis.as_ref().and_then(|rows| rows.key.clone());
    written.unwrap_or_else(|| {
        let keys = table.keys.iter().map(|key| format!(":{{{key}}}"));
        format!("{}{}", table.table, keys.collect::<String>())
    })
}
