//! What the server's catalogue says of the target, and what batches can be told by it.

use millrace_model::{Batch, Rejection, Result};

use super::target::Loaded;
use super::types::Form;
use crate::table::{Refused, Target, check_columns, defect, unfit};

/// The target as it was when a session was opened.
pub(super) struct Catalogue {
    pub(super) target: Target,
    pub(super) columns: Vec<Loaded>,
}

impl Catalogue {
    /// Sorts out the rows that can be seen not to fit.
    pub(super) fn check(&self, batch: &Batch) -> Result<(Batch, Vec<Rejection>)> {
        check_columns(batch.columns(), &self.target.schema)?;
        let mut refused = Refused::default();
        let columns = batch.columns();
        let schema = columns.schema();
        for (field, array) in schema.fields().iter().zip(columns.columns()) {
            let loaded = self.column(field.name())?;
            super::checks::check(loaded, field, array, &mut refused).map_err(defect)?;
        }
        refused.sort_out(batch).map_err(defect)
    }

    /// For each column of the schema the batch's column of that name, and its form.
    pub(super) fn columns_of(&self, batch: &Batch) -> Vec<(Option<usize>, Form)> {
        let schema = batch.columns().schema();
        self.columns.iter().map(|column| (schema.index_of(&column.name).ok(), column.form)).collect()
    }

    fn column(&self, name: &str) -> Result<&Loaded> {
        let column = self.columns.iter().find(|column| column.name == name);
        column.ok_or_else(|| unfit(format!("a batch has the column {name:?}, which is not in the schema")))
    }
}
