//! Parts that are evaluated only for the rows that need them: a row does not fail in a branch that it doesn't take.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{and_kleene, interleave, not, or_kleene};
use arrow::datatypes::DataType;
use datafusion_common::DataFusionError;
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr_common::utils::scatter;

use super::node::Node;
use super::rows::{Failures, Rows};

/// A part, with the numbers of the columns it reads.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) node: Node,
    pub(super) columns: Vec<usize>,
}

/// `left AND right`, or `left OR right`; the right side is evaluated only where the left one doesn't decide.
#[derive(Debug)]
pub(super) struct Junction {
    pub(super) is_and: bool,
    pub(super) left: Node,
    pub(super) right: Part,
}

impl Junction {
    pub(super) fn evaluate(&self, rows: &Rows, failures: &mut Failures) -> Result<ColumnarValue, DataFusionError> {
        let left = self.left.array(rows, failures)?;
        let left = left.as_boolean();
        let open = self.open(left);
        if open.true_count() == 0 {
            return Ok(array(left.clone()));
        }
        let right = self.right(rows, &open, failures)?;
        let combine = if self.is_and { and_kleene } else { or_kleene };
        Ok(array(combine(left, right.as_boolean())?))
    }

    /// Where the left side leaves the result open: not false for AND, not true for OR.
    fn open(&self, left: &BooleanArray) -> BooleanArray {
        left.iter().map(|value| Some(value != Some(!self.is_and))).collect()
    }

    fn right(&self, rows: &Rows, open: &BooleanArray, failures: &mut Failures) -> Result<ArrayRef, DataFusionError> {
        if open.true_count() == rows.len() {
            return self.right.node.array(rows, failures);
        }
        let selected = rows.select(open, &self.right.columns)?;
        scatter(open, &self.right.node.array(&selected, failures)?)
    }
}

fn array(values: BooleanArray) -> ColumnarValue {
    ColumnarValue::Array(std::sync::Arc::new(values))
}

/// CASE WHEN … THEN … ELSE … END; each part is evaluated only for the rows that come to it.
#[derive(Debug)]
pub(super) struct Branches {
    pub(super) branches: Vec<(Part, Part)>,
    pub(super) otherwise: Part,
    /// The columns that any part reads.
    pub(super) columns: Vec<usize>,
    pub(super) data_type: DataType,
}

impl Branches {
    pub(super) fn evaluate(&self, rows: &Rows, failures: &mut Failures) -> Result<ColumnarValue, DataFusionError> {
        let mut answers = Answers::new(rows.len());
        let mut left = rows.clone();
        let mut places: Vec<usize> = (0..rows.len()).collect();
        for (when, then) in &self.branches {
            if left.len() == 0 {
                break;
            }
            let taken = is_true(when.node.array(&left, failures)?.as_boolean());
            let chosen = left.select(&taken, &then.columns)?;
            if chosen.len() > 0 {
                answers.add(then.node.array(&chosen, failures)?, places_of(&places, &taken));
            }
            let others = not(&taken)?;
            left = left.select(&others, &self.columns)?;
            places = places_of(&places, &others);
        }
        if left.len() > 0 {
            answers.add(self.otherwise.node.array(&left, failures)?, places);
        }
        answers.merge(&self.data_type).map(ColumnarValue::Array)
    }
}

/// True where the value is; false where it is false or null.
fn is_true(values: &BooleanArray) -> BooleanArray {
    match values.nulls() {
        None => values.clone(),
        Some(nulls) => BooleanArray::new(values.values() & nulls.inner(), None),
    }
}

fn places_of(places: &[usize], taken: &BooleanArray) -> Vec<usize> {
    places.iter().zip(taken.values()).filter(|(_, taken)| *taken).map(|(place, _)| *place).collect()
}

/// The values of branches, and the place of each in the whole.
struct Answers {
    arrays: Vec<ArrayRef>,
    /// For each row, which array has its value, and where.
    sources: Vec<(usize, usize)>,
}

impl Answers {
    fn new(rows: usize) -> Self {
        Self { arrays: Vec::new(), sources: vec![(0, 0); rows] }
    }

    fn add(&mut self, values: ArrayRef, places: Vec<usize>) {
        for (index, place) in places.into_iter().enumerate() {
            self.sources[place] = (self.arrays.len(), index);
        }
        self.arrays.push(values);
    }

    fn merge(self, data_type: &DataType) -> Result<ArrayRef, DataFusionError> {
        if self.sources.is_empty() {
            return Ok(arrow::array::new_empty_array(data_type));
        }
        let arrays: Vec<&dyn Array> = self.arrays.iter().map(AsRef::as_ref).collect();
        Ok(interleave(&arrays, &self.sources)?)
    }
}
