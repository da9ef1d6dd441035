//! Which columns a pipeline asks for, decided from its settings and the schema of its records.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use millrace_model::Schema;
use millrace_runtime::project::{Kind, suggest};

use super::Column;
use super::defaults;
use super::source::Source;
use crate::config::{ColumnConfig, ColumnSource, Nested, Pipeline};

/// A setting that does not fit the records, where it is under the pipeline, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) at: Vec<String>,
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Misfit {
    fn new(at: &[&str], kind: Kind, message: impl Into<String>) -> Self {
        Self { at: at.iter().map(|&key| key.to_owned()).collect(), kind, message: message.into(), help: None }
    }

    /// That records are no changes.
    pub(crate) fn of_envelope(message: String) -> Self {
        let help = "set `envelope: flat` where the records are rows".to_owned();
        Self::new(&["envelope"], Kind::Mode, message).help(help)
    }

    fn help(self, help: impl Into<Option<String>>) -> Self {
        Self { help: help.into(), ..self }
    }
}

/// A column before its default: where it is asked for, its name, its source.
struct Asked {
    at: Vec<String>,
    name: String,
    source: Source,
}

/// The columns of the table.
pub(super) fn columns(pipeline: &Pipeline, rows: &Schema) -> Result<Vec<Column>, Vec<Misfit>> {
    let mut plan = Plan { pipeline, rows, columns: Vec::new(), misfits: Vec::new() };
    plan.omit();
    plan.asked().into_iter().for_each(|asked| plan.add(asked));
    plan.defaults();
    plan.names();
    if plan.misfits.is_empty() { Ok(plan.columns.into_iter().map(|(_, column)| column).collect()) } else { Err(plan.misfits) }
}

/// Whether the columns are those of the records, as they are.
pub(super) fn is_identity(columns: &[Column], rows: &Schema) -> bool {
    let fields = rows.arrow().fields();
    let same = |(column, field): (&Column, &Arc<Field>)| {
        column.default.is_none() && column.source.column() == Some(field.name()) && column.field.name() == field.name()
    };
    columns.len() == fields.len() && columns.iter().zip(fields).all(same)
}

struct Plan<'a> {
    pipeline: &'a Pipeline,
    rows: &'a Schema,
    /// Each with the place where it is asked for.
    columns: Vec<(Vec<String>, Column)>,
    misfits: Vec<Misfit>,
}

impl Plan<'_> {
    fn omit(&mut self) {
        for (number, name) in self.pipeline.omit.iter().enumerate() {
            if self.rows.arrow().field_with_name(name).is_err() {
                let misfit = self.no_column(&["omit", &number.to_string()], name);
                self.misfits.push(misfit);
            }
        }
    }

    fn no_column(&self, at: &[&str], name: &str) -> Misfit {
        let known = self.rows.arrow().fields().iter().map(|field| field.name().as_str());
        let known: Vec<&str> = known.collect();
        Misfit::new(at, Kind::UnknownColumn, format!("the records have no column `{name}`")).help(suggest::help(name, "columns", known))
    }

    fn asked(&mut self) -> Vec<Asked> {
        let mut asked = Vec::new();
        if self.pipeline.columns.is_empty() {
            asked.extend(self.others(&["omit".to_owned()]));
        }
        for (number, column) in self.pipeline.columns.iter().enumerate() {
            let at = vec!["columns".to_owned(), number.to_string()];
            match column {
                ColumnConfig::Named(name) if name == "*" => asked.extend(self.others(&at)),
                ColumnConfig::Named(name) => asked.push(Asked { at, name: name.clone(), source: path(name) }),
                ColumnConfig::Sourced(column) => asked.extend(self.sourced(at, column)),
            }
        }
        let loaded_at = self.pipeline.loaded_at.iter();
        asked.extend(loaded_at.map(|name| Asked { at: vec!["loaded_at".to_owned()], name: name.clone(), source: Source::LoadedAt }));
        asked
    }

    /// The columns of the records that nothing else names.
    fn others(&self, at: &[String]) -> Vec<Asked> {
        let named: Vec<&str> =
            self.pipeline.columns.iter().filter_map(named).chain(self.pipeline.omit.iter().map(String::as_str)).collect();
        let others = self.rows.arrow().fields().iter().filter(|field| !named.contains(&field.name().as_str()));
        others
            .map(|field| Asked { at: at.to_vec(), name: field.name().clone(), source: Source::Path(vec![field.name().as_str().into()]) })
            .collect()
    }

    fn sourced(&mut self, at: Vec<String>, column: &ColumnSource) -> Option<Asked> {
        let name = column.name.clone();
        let source = match (&column.from, column.metadata, &column.header) {
            (Some(from), None, None) => path(from),
            (None, Some(part), None) => Source::Metadata(part),
            (None, None, Some(header)) => Source::Header(header.clone()),
            (None, None, None) => path(&name),
            _ => {
                let message = format!("the column `{name}` has several sources");
                self.misfits.push(Misfit {
                    at,
                    kind: Kind::Settings,
                    message,
                    help: Some("keep one of `from`, `metadata` and `header`".to_owned()),
                });
                return None;
            }
        };
        Some(Asked { at, name, source })
    }

    fn add(&mut self, asked: Asked) {
        let Some(field) = asked.source.field(self.rows) else {
            let missing = self.missing(&asked);
            self.misfits.push(missing);
            return;
        };
        match (field.data_type(), &asked.source) {
            (DataType::Struct(inner), Source::Path(path)) if self.pipeline.nested == Nested::Flatten => {
                for inner in inner {
                    let name = format!("{}{}{}", asked.name, self.pipeline.separator, inner.name());
                    let path = path.iter().cloned().chain([inner.name().as_str().into()]).collect();
                    self.add(Asked { at: asked.at.clone(), name, source: Source::Path(path) });
                }
            }
            _ => {
                let field = Arc::new(field.with_name(asked.name));
                self.columns.push((asked.at, Column { field, source: asked.source, default: None }));
            }
        }
    }

    fn missing(&self, asked: &Asked) -> Misfit {
        let at: Vec<&str> = asked.at.iter().map(String::as_str).collect();
        match &asked.source {
            Source::Path(path) if path.len() > 1 => {
                Misfit::new(&at, Kind::UnknownColumn, format!("the records have no field `{}`", path.join(".")))
            }
            Source::Path(path) => self.no_column(&at, &path[0]),
            _ => Misfit::new(&at, Kind::UnknownColumn, format!("the column `{}` has no source", asked.name)),
        }
    }

    fn defaults(&mut self) {
        for (name, default) in &self.pipeline.defaults {
            let Some((_, column)) = self.columns.iter_mut().find(|(_, column)| column.field.name() == name) else {
                let known: Vec<&str> = self.columns.iter().map(|(_, column)| column.field.name().as_str()).collect();
                let misfit = Misfit::new(&["defaults", name], Kind::UnknownColumn, format!("the table gets no column `{name}`"));
                self.misfits.push(misfit.help(suggest::help(name, "columns", known)));
                continue;
            };
            let data_type = column.field.data_type();
            if let Some(value) = defaults::value(default.as_str(), data_type) {
                let field = Field::new(name, defaults::data_type(data_type), false).with_metadata(column.field.metadata().clone());
                (column.field, column.default) = (Arc::new(field), Some(value));
            } else {
                let message = format!("`{default}` is no value of the column `{name}`, which is of the type {data_type}");
                self.misfits.push(Misfit::new(&["defaults", name], Kind::WrongValue, message));
            }
        }
    }

    fn names(&mut self) {
        for (number, (at, column)) in self.columns.iter().enumerate() {
            let name = column.field.name();
            if self.columns[..number].iter().any(|(_, other)| other.field.name() == name) {
                let at: Vec<&str> = at.iter().map(String::as_str).collect();
                let help = "give each column a name of its own; `separator` decides those of flattened ones".to_owned();
                self.misfits.push(Misfit::new(&at, Kind::Settings, format!("the table gets two columns `{name}`")).help(help));
            }
        }
        if self.columns.is_empty() && self.misfits.is_empty() {
            self.misfits.push(Misfit::new(&["omit"], Kind::Settings, "the table gets no column"));
        }
    }
}

/// A column of the record, or with dots what is in it.
fn path(text: &str) -> Source {
    Source::Path(text.split('.').map(Arc::from).collect())
}

/// The column of the record that an entry names, whole.
fn named(column: &ColumnConfig) -> Option<&str> {
    match column {
        ColumnConfig::Named(name) => Some(name),
        ColumnConfig::Sourced(ColumnSource { metadata: Some(_), .. } | ColumnSource { header: Some(_), .. }) => None,
        ColumnConfig::Sourced(ColumnSource { name, from, .. }) => Some(from.as_ref().unwrap_or(name)),
    }
}
