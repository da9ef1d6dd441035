//! The rows of a round as commands.

use arrow::array::Array;
use arrow::error::ArrowError;
use millrace_model::Result;
use redis::{Cmd, Pipeline, cmd};

use super::changes::{Change, Place};
use super::config::Form;
use super::found::{Fields, Found};
use super::json::{self, Object};
use super::staged::{Rows, Staged};
use super::target::Target;
use crate::table::{JsonText, Values, defect};
use crate::table_config::Mode;

/// Writes the rows of a round's steps.
pub(super) struct Writer<'a> {
    target: &'a Target,
    /// For each step; nothing where no rows come.
    steps: Vec<Option<Step<'a>>>,
    text: Vec<u8>,
}

/// What writes the rows of a step.
enum Step<'a> {
    Columns(Vec<Column<'a>>),
    Json(JsonText<'a>),
}

struct Column<'a> {
    name: &'a str,
    array: &'a dyn Array,
    values: Values<'a>,
}

impl<'a> Step<'a> {
    fn new(form: &Form, rows: &'a Rows) -> Result<Self, ArrowError> {
        let columns = rows.values.fields().iter().zip(rows.values.columns());
        let wanted = columns.filter(|(field, _)| match form {
            Form::Column(column) => field.name() == column,
            Form::Hash | Form::Json => true,
        });
        let column = |(field, array): (&'a arrow::datatypes::FieldRef, &'a arrow::array::ArrayRef)| {
            Ok(Column { name: field.name(), array, values: Values::in_iso_8601(field, array)? })
        };
        match form {
            Form::Json => JsonText::new(&rows.field, &rows.values).map(Self::Json),
            Form::Hash | Form::Column(_) => wanted.map(column).collect::<Result<_, _>>().map(Self::Columns),
        }
    }
}

impl<'a> Writer<'a> {
    pub(super) fn new(target: &'a Target, steps: &'a [Staged]) -> Result<Self> {
        let steps = steps.iter().map(|step| match step {
            Staged::Rows(rows) => Step::new(&target.form, rows).map(Some),
            Staged::Deletions(_) | Staged::Clear => Ok(None),
        });
        Ok(Self { target, steps: steps.collect::<Result<_, ArrowError>>().map_err(defect)?, text: Vec::new() })
    }

    /// Appends the commands that make the row of a key what the change says.
    pub(super) fn write(&mut self, key: &[u8], change: &Change, found: &Found, commands: &mut Pipeline) -> Result<()> {
        match self.target.form {
            Form::Hash => self.hash(key, change, found, commands).map_err(defect),
            Form::Json => {
                self.json(change, found)?;
                self.set(key, commands);
                Ok(())
            }
            Form::Column(_) => {
                if self.column(change).map_err(defect)? {
                    self.set(key, commands);
                }
                Ok(())
            }
        }
    }

    /// Writes a hash anew: whatever became of the key meanwhile, these commands can't fail.
    fn hash(&mut self, key: &[u8], change: &Change, found: &Found, commands: &mut Pipeline) -> Result<(), ArrowError> {
        let mut set = start("HSET", key);
        if let (Some(row), true) = (change.row, change.patches.is_empty()) {
            for column in columns(&mut self.steps, row).iter_mut().filter(|column| column.array.is_valid(row.row)) {
                self.text.clear();
                column.values.write(row.row, &mut self.text)?;
                set.arg(column.name).arg(&self.text);
            }
        } else {
            for (name, value) in self.merged(change, found)? {
                set.arg(name).arg(value);
            }
        }
        commands.add_command(start("UNLINK", key));
        commands.add_command(set);
        if let Some(ttl) = self.target.ttl {
            commands.cmd("PEXPIRE").arg(key).arg(ttl);
        }
        Ok(())
    }

    /// The fields of a row of which some columns came by themselves; what they do not tell stays, fields of no column too.
    fn merged(&mut self, change: &Change, found: &Found) -> Result<Fields, ArrowError> {
        let mut fields = match found {
            Found::Fields(fields) if change.patches() => fields.clone(),
            _ => Fields::new(),
        };
        for place in change.places() {
            for column in columns(&mut self.steps, place) {
                if column.array.is_null(place.row) {
                    fields.remove(column.name.as_bytes());
                    continue;
                }
                let mut value = Vec::new();
                column.values.write(place.row, &mut value)?;
                fields.insert(column.name.into(), value);
            }
        }
        Ok(fields)
    }

    /// Makes the text of a row as JSON.
    fn json(&mut self, change: &Change, found: &Found) -> Result<()> {
        if let (Some(row), true) = (change.row, change.patches.is_empty()) {
            self.row_as_json(row);
            return Ok(());
        }
        let mut object = match (change.row, found) {
            (Some(row), _) => self.row_as_object(row)?,
            (None, Found::Text(text)) if change.patches() => json::parse(text)?,
            _ => Object::new(),
        };
        for &patch in &change.patches {
            object.extend(self.row_as_object(patch)?);
        }
        self.text.clear();
        json::write(object, self.target.schema.arrow().fields().iter().map(|field| field.name().as_str()), &mut self.text)
    }

    fn row_as_object(&mut self, place: Place) -> Result<Object> {
        self.row_as_json(place);
        json::parse(&self.text)
    }

    fn row_as_json(&mut self, place: Place) {
        self.text.clear();
        if let Some(Some(Step::Json(rows))) = self.steps.get_mut(place.step) {
            rows.write(place.row, &mut self.text);
        }
    }

    /// Makes the text of the last row that has the column; `false` where none has.
    fn column(&mut self, change: &Change) -> Result<bool, ArrowError> {
        for place in change.places().rev() {
            if let Some(column) = columns(&mut self.steps, place).first_mut() {
                self.text.clear();
                column.values.write(place.row, &mut self.text)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn set(&self, key: &[u8], commands: &mut Pipeline) {
        let mut set = start("SET", key);
        set.arg(&self.text);
        if let Some(ttl) = self.target.ttl {
            set.arg("PX").arg(ttl);
        }
        if self.target.table.mode == Mode::InsertIgnore {
            set.arg("NX");
        }
        commands.add_command(set);
    }
}

/// The columns of a row's step that are written.
fn columns<'a, 's>(steps: &'s mut [Option<Step<'a>>], place: Place) -> &'s mut [Column<'a>] {
    match &mut steps[place.step] {
        Some(Step::Columns(columns)) => columns,
        Some(Step::Json(_)) | None => &mut [],
    }
}

fn start(name: &str, key: &[u8]) -> Cmd {
    let mut command = cmd(name);
    command.arg(key);
    command
}
