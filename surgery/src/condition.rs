//! Which letters a condition in SQL chooses.
//!
//! It may use what the headers say and, where the value can be read, the value's columns: by their names, and as `value.name`.
//! Values of several schemas are looked at by schema; one that has not the columns of the condition is not chosen.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use arrow_json::ReaderBuilder;
use arrow_json::reader::infer_json_schema_from_iterator;
use millrace_model::{Batch, Code, Fault, Origin, RecordsBuilder, Result, Schema};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::registry::Registry;
use millrace_transform::config::StepConfig;
use millrace_transform::steps::{StepError, compile};
use serde_json::Value;

use crate::facts::{self, Column};
use crate::letters::Letter;
use crate::values::{self, Avro};

/// The letters of which the condition is true, in their order. One that it fails for (a division by zero) is not chosen.
///
/// # Errors
/// [`Code::SurgeryInvalid`] when the condition can't be used with any letter.
pub async fn choose(letters: Vec<Letter>, condition: &str, registry: &Registry) -> Result<Vec<Letter>> {
    let dead: Vec<&DeadLetter> = letters.iter().map(|letter| &letter.letter).collect();
    let chosen = chosen(&dead, condition, registry).await?;
    let kept = letters.into_iter().enumerate().filter(|(index, _)| chosen.contains(index));
    Ok(kept.map(|(_, letter)| letter).collect())
}

async fn chosen(letters: &[&DeadLetter], condition: &str, registry: &Registry) -> Result<BTreeSet<usize>> {
    let mut chosen = BTreeSet::new();
    let mut refusal = None;
    let mut usable = letters.is_empty();
    for group in groups(letters, registry).await? {
        match group.filter(letters, condition)? {
            Ok(indices) => {
                usable = true;
                chosen.extend(indices);
            }
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    match refusal {
        Some(error) if !usable => Err(unusable(&error)),
        _ => Ok(chosen),
    }
}

fn unusable(error: &StepError) -> Fault {
    let text = error.to_string();
    let text = text.strip_prefix("step 0, ").or_else(|| text.strip_prefix("step 0: ")).unwrap_or(&text);
    Fault::operator(Code::SurgeryInvalid, format!("the condition can't be used: {text}"))
}

/// Letters whose values have the same columns.
struct Group {
    letters: Vec<usize>,
    value: Vec<Column>,
    whole: Column,
}

async fn groups(letters: &[&DeadLetter], registry: &Registry) -> Result<Vec<Group>> {
    let values = values::read(letters, registry).await?;
    let (objects, plain): (Vec<usize>, Vec<usize>) = values.others.into_iter().partition(|&index| object(letters[index]).is_some());
    let mut groups: Vec<Group> = values.avro.into_iter().map(Group::of_avro).collect();
    let as_objects = Group::of_objects(letters, &objects);
    let plain = if as_objects.is_some() { plain } else { objects.into_iter().chain(plain).collect() };
    groups.extend(as_objects);
    groups.push(Group::of_texts(letters, plain));
    // The one with the most to say about a wrong name comes first.
    groups.sort_by_key(|group| std::cmp::Reverse(group.value.len()));
    groups.retain(|group| !group.letters.is_empty());
    Ok(groups)
}

fn object(letter: &DeadLetter) -> Option<Value> {
    serde_json::from_str::<Value>(values::text(letter)?).ok().filter(Value::is_object)
}

impl Group {
    fn of_avro(avro: Avro) -> Self {
        Self::of_columns(avro.letters, &avro.columns)
    }

    fn of_columns(letters: Vec<usize>, columns: &RecordBatch) -> Self {
        let fields = columns.schema();
        let value = fields.fields().iter().zip(columns.columns()).map(|(field, column)| (field.as_ref().clone(), Arc::clone(column)));
        let whole = StructArray::from(columns.clone());
        let field = Field::new("value", DataType::Struct(fields.fields().clone()), false);
        Self { letters, value: value.collect(), whole: (field, Arc::new(whole)) }
    }

    /// JSON objects, with the columns that they have together; `None` where one says text and another a list.
    fn of_objects(letters: &[&DeadLetter], indices: &[usize]) -> Option<Self> {
        let objects: Vec<Value> = indices.iter().filter_map(|&index| object(letters[index])).collect();
        let schema = infer_json_schema_from_iterator(objects.iter().map(Ok)).ok().filter(|schema| !schema.fields().is_empty())?;
        let reader = ReaderBuilder::new(Arc::new(schema)).with_coerce_primitive(true).with_batch_size(objects.len());
        let mut decoder = reader.build_decoder().ok()?;
        decoder.serialize(&objects).ok()?;
        let columns = decoder.flush().ok()??;
        Some(Self::of_columns(indices.to_vec(), &columns))
    }

    fn of_texts(letters: &[&DeadLetter], indices: Vec<usize>) -> Self {
        let texts: StringArray = indices.iter().map(|&index| values::text(letters[index])).collect();
        Self { letters: indices, value: Vec::new(), whole: (Field::new("value", DataType::Utf8, true), Arc::new(texts)) }
    }

    /// The letters of which the condition is true, or why it can't be asked of them.
    fn filter(self, letters: &[&DeadLetter], condition: &str) -> Result<Result<Vec<usize>, StepError>> {
        let own: Vec<&DeadLetter> = self.letters.iter().map(|&index| letters[index]).collect();
        let columns = table(facts::columns(&own), self.value, self.whole)?;
        let schema = Schema::new(Value::Null, columns.schema());
        let step = match compile(&[StepConfig::Filter(condition.to_owned())], &schema) {
            Ok(mut steps) => steps.remove(0),
            Err(error) => return Ok(Err(error)),
        };
        let records = Arc::new(RecordsBuilder::new("dead letters".into(), 0).finish());
        let rows: Vec<u32> = (0..own.len() as u32).collect();
        let applied = step.apply(Batch::new(columns, Origin::of(records, rows)))?;
        Ok(Ok(applied.out.origin().rows().iter().map(|&row| self.letters[row as usize]).collect()))
    }
}

/// All columns together. What the headers say comes first: a column of the value with such a name is `value.name` only.
fn table(said: Vec<Column>, value: Vec<Column>, whole: Column) -> Result<RecordBatch> {
    let taken: BTreeSet<String> = said.iter().map(|(field, _)| field.name().clone()).chain(["value".to_owned()]).collect();
    let value = value.into_iter().filter(|(field, _)| !taken.contains(field.name()));
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = said.into_iter().chain(value).chain([whole]).unzip();
    let schema = Arc::new(ArrowSchema::new(Fields::from(fields)));
    let defect = |error| Fault::fatal(Code::Internal, "dead letters can't be laid out as columns").because(error);
    RecordBatch::try_new(schema, columns).map_err(defect)
}
