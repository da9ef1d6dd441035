//! From a parsed expression to a typed logical one: names resolved, types coerced, functions in their simplest form.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, TimeUnit};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, DataFusionError, TableReference, plan_err};
use datafusion_expr::expr::{BinaryExpr, Case, ScalarFunction};
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{AggregateUDF, Cast, Expr, ExprSchemable, HigherOrderUDF, Operator, ScalarUDF, TableSource, WindowUDF};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion_functions_nested::planner::{FieldAccessPlanner, NestedFunctionPlanner};
use datafusion_optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast::{Expr as SqlExpr, Spanned};
use millrace_model::Schema;

use super::{functions, refuse};
use crate::steps::error::{Compiled, StepError};

/// The hidden column that holds the batch's time; no Avro field can have this name.
pub(in crate::steps) const CLOCK: &str = "now()";

/// The columns that expressions of a step may use, as SQL sees them: an enum is text.
#[derive(Debug, Clone)]
pub(in crate::steps) struct Scope {
    arrow: ArrowSchema,
    schema: Arc<DFSchema>,
    names: Vec<String>,
    enums: Vec<bool>,
}

impl Scope {
    /// The columns of `input`.
    pub(in crate::steps) fn of(input: &Schema) -> Compiled<Self> {
        let fields = input.arrow().fields();
        let enums = fields.iter().map(|field| matches!(field.data_type(), DataType::Dictionary(..))).collect();
        let scope = Self::new(fields.iter().map(|field| as_sql(field)).collect())?;
        Ok(Self { enums, ..scope })
    }

    /// One column of text, which stands for the symbols of an enum.
    pub(in crate::steps) fn of_symbols(&self, column: usize) -> Compiled<Self> {
        Self::new(vec![self.arrow.field(column).clone().with_nullable(true)])
    }

    fn new(mut fields: Vec<Field>) -> Compiled<Self> {
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let enums = vec![false; names.len()];
        fields.push(Field::new(CLOCK, clock_type(), false));
        let arrow = ArrowSchema::new(fields);
        let schema = DFSchema::try_from(arrow.clone()).map_err(|error| StepError::planning(&error))?;
        Ok(Self { arrow, schema: Arc::new(schema), names, enums })
    }

    /// The columns and the hidden clock after them.
    pub(in crate::steps) fn schema(&self) -> &DFSchema {
        &self.schema
    }

    /// The names of the columns.
    pub(in crate::steps) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.names.iter().map(String::as_str)
    }

    /// The number of the column of that name; the clock is the last.
    pub(in crate::steps) fn index(&self, name: &str) -> Option<usize> {
        self.arrow.index_of(name).ok()
    }

    /// Whether the column of that number holds the symbols of an enum.
    pub(in crate::steps) fn is_enum(&self, column: usize) -> bool {
        self.enums.get(column).copied().unwrap_or(false)
    }

    /// The type of the column of that number, as SQL sees it.
    pub(in crate::steps) fn column_type(&self, column: usize) -> &DataType {
        self.arrow.field(column).data_type()
    }

    /// The type of a planned expression.
    pub(in crate::steps) fn data_type(&self, expr: &Expr) -> Compiled<DataType> {
        expr.get_type(self.schema.as_ref()).map_err(|error| StepError::planning(&error))
    }

    /// Plans a parsed expression; `qualifier` may stand before a column's name.
    pub(super) fn plan(&self, sql: SqlExpr, qualifier: &str) -> Compiled<Expr> {
        let names: Vec<&str> = self.names().collect();
        refuse::names(&sql, &names, qualifier)?;
        let span = sql.span();
        self.typed(sql, qualifier).map_err(|error| error.at(span))
    }

    fn typed(&self, sql: SqlExpr, qualifier: &str) -> Compiled<Expr> {
        let plain = self.untyped(sql, qualifier).map_err(|error| StepError::planning(&error))?;
        self.refuse_unions(&plain)?;
        self.coerced(plain)
    }

    fn untyped(&self, sql: SqlExpr, qualifier: &str) -> Result<Expr, DataFusionError> {
        let qualified = DFSchema::try_from_qualified_schema(TableReference::bare(qualifier), &self.arrow)?;
        let planner = SqlToRel::new_with_options(&*PROVIDER, parser_options());
        let expr = planner.sql_to_expr(sql, &qualified, &mut PlannerContext::new())?;
        Ok(expr.transform_up(plain)?.data)
    }

    /// A union of several branches passes as the column that it is, and takes part in nothing that is computed.
    fn refuse_unions(&self, expr: &Expr) -> Compiled<()> {
        if matches!(expr, Expr::Column(_)) {
            return Ok(());
        }
        let mut touched = None;
        let looked = expr.apply(|part| {
            if !matches!(part.get_type(self.schema.as_ref()), Ok(DataType::Union(..))) {
                return Ok(TreeNodeRecursion::Continue);
            }
            touched = Some(part.column_refs().into_iter().next().map_or_else(String::new, |column| column.name.clone()));
            Ok(TreeNodeRecursion::Stop)
        });
        looked.map_err(|error| StepError::planning(&error))?;
        touched.map_or(Ok(()), |column| Err(refuse::union(&column)))
    }

    /// The expression with the types of its operands made equal where they have to be.
    pub(in crate::steps) fn coerced(&self, expr: Expr) -> Compiled<Expr> {
        self.coerce(expr).map_err(|error| StepError::planning(&error))
    }

    fn coerce(&self, expr: Expr) -> Result<Expr, DataFusionError> {
        let coerced = expr.rewrite(&mut TypeCoercionRewriter::new(&self.schema))?.data;
        let context = SimplifyContext::builder().with_schema(Arc::clone(&self.schema)).build();
        coerced.transform_up(|expr| simplest(expr, &context)).map(|done| done.data)
    }
}

/// The column's field as SQL sees it.
fn as_sql(field: &Field) -> Field {
    Field::new(field.name(), sql_type(field.data_type()).clone(), field.is_nullable())
}

/// The type as SQL sees it: an enum is text.
fn sql_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

fn clock_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

/// Names are matched as the schema writes them, and text stays text.
fn parser_options() -> ParserOptions {
    ParserOptions::new().with_enable_ident_normalization(false).with_map_string_types_to_utf8view(false).with_collect_spans(true)
}

/// Columns without qualifier, functions without alias, and the clock's functions as the hidden column.
fn plain(expr: Expr) -> Result<Transformed<Expr>, DataFusionError> {
    Ok(match expr {
        Expr::Alias(alias) => Transformed::yes(*alias.expr),
        Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(column.name))),
        Expr::ScalarFunction(call) => match of_clock(call.func.name()) {
            Some(clock) => Transformed::yes(clock),
            None => Transformed::no(Expr::ScalarFunction(call)),
        },
        Expr::Placeholder(placeholder) => return plan_err!("{} has no value here; write the value", placeholder.id),
        Expr::ScalarVariable(_, names) => return plan_err!("{} has no value here; write the value", names.join(".")),
        Expr::Unnest(_) => return plan_err!("unnest gives many rows for one; a step gives one"),
        other => Transformed::no(other),
    })
}

fn of_clock(function: &str) -> Option<Expr> {
    let now = Expr::Column(Column::new_unqualified(CLOCK));
    match function {
        "now" => Some(now),
        "current_date" => Some(Expr::Cast(Cast::new(Box::new(now), DataType::Date32))),
        "current_time" => Some(Expr::Cast(Cast::new(Box::new(now), DataType::Time64(TimeUnit::Microsecond)))),
        _ => None,
    }
}

/// What the function itself offers as its simpler form: `coalesce` as CASE, for one.
fn simplest(expr: Expr, context: &SimplifyContext) -> Result<Transformed<Expr>, DataFusionError> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return Ok(Transformed::no(expr)) };
    Ok(match func.simplify(args, context)? {
        ExprSimplifyResult::Simplified(simpler) => Transformed::yes(simpler),
        ExprSimplifyResult::Original(args) => Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })),
    })
}

/// Whether the expression is proven to give null for no row that it doesn't fail for.
pub(in crate::steps) fn never_null(expr: &Expr, schema: &DFSchema) -> bool {
    expr.nullable(schema).is_ok_and(|nullable| !nullable) || keeps_values(expr, schema)
}

/// Whether the operation gives null for null only, and its operands are never null. DataFusion knows this of few functions.
fn keeps_values(expr: &Expr, schema: &DFSchema) -> bool {
    let never = |expr: &Expr| never_null(expr, schema);
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == "concat" => true,
        Expr::ScalarFunction(call) if functions::is_null_from_null(&call.func) => call.args.iter().all(never),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_null_from_null(*op) => never(left) && never(right),
        Expr::Cast(cast) => never(&cast.expr),
        Expr::Negative(inner) | Expr::Not(inner) => never(inner),
        Expr::Case(Case { when_then_expr, else_expr: Some(otherwise), .. }) => {
            when_then_expr.iter().all(|(_, then)| never(then)) && never(otherwise)
        }
        _ => false,
    }
}

fn is_null_from_null(op: Operator) -> bool {
    op.is_numerical_operators() || op.supports_propagation() || op.is_logic_operator() || op == Operator::StringConcat
}

static PROVIDER: LazyLock<Provider> = LazyLock::new(Provider::new);

/// What the SQL planner may look up: scalar functions, and nothing else.
struct Provider {
    options: ConfigOptions,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Provider {
    fn new() -> Self {
        let planners: Vec<Arc<dyn ExprPlanner>> = vec![
            Arc::new(NestedFunctionPlanner),
            Arc::new(FieldAccessPlanner),
            Arc::new(CoreFunctionPlanner::default()),
            Arc::new(DatetimeFunctionPlanner),
            Arc::new(UnicodeFunctionPlanner),
        ];
        Self { options: ConfigOptions::default(), planners }
    }
}

impl ContextProvider for Provider {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        plan_err!("there is no table {name}")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        functions::scalar(name)
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn get_variable_field(&self, _variable_names: &[String]) -> Option<FieldRef> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        functions::scalar_names().map(str::to_owned).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
