//! From a logical expression to nodes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema, DataFusionError, ScalarValue, plan_datafusion_err, plan_err};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::expr::{BinaryExpr, Case, ScalarFunction};
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{Cast, Expr, ExprSchemable, Operator, TryCast, binary_expr};
use datafusion_physical_expr::expressions::BinaryExpr as PhysicalBinary;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};

use super::call::{Argument, Call, Lost};
use super::lazy::{Branches, Junction, Part};
use super::node::Node;
use super::rows::{Failures, Rows};
use super::symbols::Symbols;
use crate::steps::casts;
use crate::steps::sql::{CLOCK, Scope, is_total, unbounded};
use crate::steps::wording;

type Result<T> = std::result::Result<T, DataFusionError>;

/// Compiles expressions over the columns of one scope.
pub(super) struct Compiler<'a> {
    scope: &'a Scope,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(scope: &'a Scope) -> Self {
        Self { scope }
    }

    /// The expression with its constant parts computed.
    pub(super) fn fold(&self, expr: Expr) -> Result<Expr> {
        expr.transform_up(|part| self.fold_part(part)).map(|done| done.data)
    }

    fn fold_part(&self, part: Expr) -> Result<Transformed<Expr>> {
        check_pattern(&part)?;
        check_size(&part)?;
        if matches!(part, Expr::Literal(..)) || !part.column_refs().is_empty() {
            return Ok(Transformed::no(part));
        }
        let mut failures = Failures::default();
        let value = self.node(&part)?.array(&Rows::single(), &mut failures)?;
        match failures.into_reasons().next() {
            Some((_, reason)) => plan_err!("{reason}; it would fail for every record"),
            None => Ok(Transformed::yes(Expr::Literal(ScalarValue::try_from_array(&value, 0)?, None))),
        }
    }

    /// The type of the expression's values.
    pub(super) fn data_type(&self, expr: &Expr) -> Result<DataType> {
        expr.get_type(self.scope.schema())
    }

    /// The numbers of the columns that it reads, in their order.
    pub(super) fn columns(&self, expr: &Expr) -> Vec<usize> {
        let names = expr.column_refs().into_iter().map(|column| column.name.as_str()).filter(|name| *name != CLOCK);
        let mut columns: Vec<usize> = names.filter_map(|name| self.scope.index(name)).collect();
        columns.sort_unstable();
        columns
    }

    /// The node that computes the expression.
    pub(super) fn node(&self, expr: &Expr) -> Result<Node> {
        match expr {
            Expr::Column(column) => self.column(column),
            Expr::Literal(value, _) => Ok(Node::Literal(value.clone())),
            Expr::Alias(alias) => self.node(&alias.expr),
            _ => match self.enum_alone(expr) {
                Some(column) => self.by_symbol(expr, column),
                None => self.operation(expr),
            },
        }
    }

    fn column(&self, column: &Column) -> Result<Node> {
        if column.name == CLOCK {
            return Ok(Node::Clock);
        }
        let number = self.scope.index(&column.name).ok_or_else(|| plan_datafusion_err!("there is no column {}", column.name))?;
        if self.scope.is_enum(number) {
            return Ok(Node::Text(number, self.scope.column_type(number).clone()));
        }
        Ok(Node::Column(number))
    }

    /// The enum column, if the expression is over that column and nothing else.
    fn enum_alone(&self, expr: &Expr) -> Option<usize> {
        let mut names = expr.column_refs().into_iter();
        let only = names.next().filter(|_| names.next().is_none())?;
        self.scope.index(&only.name).filter(|&column| self.scope.is_enum(column))
    }

    fn by_symbol(&self, expr: &Expr, column: usize) -> Result<Node> {
        let scope = self.scope.of_symbols(column).map_err(|error| plan_datafusion_err!("{}", error.message))?;
        let inner = Compiler::new(&scope).node(expr)?;
        Ok(Node::Symbols(Box::new(Symbols { column, text: self.scope.column_type(column).clone(), inner })))
    }

    fn operation(&self, expr: &Expr) -> Result<Node> {
        match expr {
            Expr::Case(case) if self.is_lazy(expr) => self.branches(case, &self.data_type(expr)?),
            Expr::BinaryExpr(binary) if self.is_lazy(expr) => self.junction(binary),
            Expr::BinaryExpr(binary) if self.fails(expr) && is_arithmetic(binary.op) => self.arithmetic(binary, expr),
            Expr::Negative(inner) if self.fails(expr) => self.negative(inner, expr),
            Expr::Cast(cast) if self.fails(expr) => self.cast(cast, expr),
            _ => self.embedding(expr),
        }
    }

    /// Whether the operation itself may fail for some value, its operands aside.
    fn fails(&self, expr: &Expr) -> bool {
        match expr {
            Expr::BinaryExpr(binary) if is_arithmetic(binary.op) => !self.is_float(expr),
            Expr::BinaryExpr(binary) if is_pattern(binary.op) => !matches!(*binary.right, Expr::Literal(..)),
            Expr::Negative(_) => !self.is_float(expr),
            Expr::Cast(cast) => !self.data_type(&cast.expr).is_ok_and(|from| casts::is_total(&from, cast.field.data_type())),
            Expr::ScalarFunction(ScalarFunction { func, args }) => !is_total(func, args),
            _ => false,
        }
    }

    fn is_float(&self, expr: &Expr) -> bool {
        self.data_type(expr).is_ok_and(|data_type| data_type.is_floating())
    }

    fn may_fail(&self, expr: &Expr) -> bool {
        expr.exists(|part| Ok(self.fails(part))).unwrap_or(true)
    }

    /// Whether the expression has a part that may fail and that not every row comes to.
    fn is_lazy(&self, expr: &Expr) -> bool {
        match expr {
            Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, right, .. }) => self.may_fail(right),
            Expr::Case(case) => {
                let later = case.when_then_expr.iter().skip(1).map(|(when, _)| when);
                let results = case.when_then_expr.iter().map(|(_, then)| then);
                later.chain(results).chain(&case.else_expr).any(|part| self.may_fail(part))
            }
            _ => false,
        }
    }

    fn part(&self, expr: &Expr) -> Result<Part> {
        Ok(Part { node: self.node(expr)?, columns: self.columns(expr) })
    }

    fn junction(&self, binary: &BinaryExpr) -> Result<Node> {
        let (left, right) = (self.node(&binary.left)?, self.part(&binary.right)?);
        Ok(Node::Junction(Box::new(Junction { is_and: binary.op == Operator::And, left, right })))
    }

    fn branches(&self, case: &Case, data_type: &DataType) -> Result<Node> {
        let when = |when: &Expr| match &case.expr {
            Some(operand) => self.part(&binary_expr(operand.as_ref().clone(), Operator::Eq, when.clone())),
            None => self.part(when),
        };
        let parts = case.when_then_expr.iter();
        let branches = parts.map(|(condition, then)| Ok((when(condition)?, self.part(then)?))).collect::<Result<Vec<_>>>()?;
        let otherwise = match &case.else_expr {
            Some(expr) => self.part(expr)?,
            None => Part { node: Node::Literal(ScalarValue::try_from(data_type)?), columns: Vec::new() },
        };
        let columns = self.columns(&Expr::Case(case.clone()));
        Ok(Node::Branches(Box::new(Branches { branches, otherwise, columns, data_type: data_type.clone() })))
    }

    /// `-x` of integers and decimals as `0 - x`, which is checked.
    fn negative(&self, inner: &Expr, whole: &Expr) -> Result<Node> {
        let data_type = self.data_type(inner)?;
        if data_type.is_temporal() {
            return self.embedding(whole);
        }
        let zero = Expr::Literal(ScalarValue::new_zero(&data_type)?, None);
        let Expr::BinaryExpr(binary) = binary_expr(zero, Operator::Minus, inner.clone()) else { return self.embedding(whole) };
        self.arithmetic(&binary, whole)
    }

    fn arithmetic(&self, binary: &BinaryExpr, whole: &Expr) -> Result<Node> {
        let mut arguments = Arguments::new(self);
        let left = arguments.operand(&binary.left)?;
        let right = arguments.operand(&binary.right)?;
        let schema = arguments.schema()?;
        let checked = PhysicalBinary::new(physical(&left, &schema)?, binary.op, physical(&right, &schema)?).with_fail_on_overflow(true);
        let checked = Arc::new(checked);
        let data_type = self.data_type(whole)?;
        let integers = data_type.is_integer() && self.data_type(&binary.left)? == data_type;
        let integers = integers.then(|| Arc::clone(&checked));
        // Of a null constant the result is null, and that is no failure.
        let lost = if is_null(&binary.left) || is_null(&binary.right) { Lost::Fine } else { Lost::Failed };
        Ok(arguments.call(checked, data_type, lost, integers, whole))
    }

    fn cast(&self, cast: &Cast, whole: &Expr) -> Result<Node> {
        let mut arguments = Arguments::new(self);
        let operand = Box::new(arguments.operand(&cast.expr)?);
        let nested = cast.field.data_type().is_nested();
        let field = Arc::clone(&cast.field);
        // Inside a nested value a failed cast would leave a null that nobody sees, so there the cast has to say so.
        let checked = if nested { Expr::Cast(Cast { expr: operand, field }) } else { Expr::TryCast(TryCast { expr: operand, field }) };
        let physical = physical(&checked, &arguments.schema()?)?;
        let lost = if nested { Lost::Fine } else { Lost::Failed };
        Ok(arguments.call(physical, cast.field.data_type().clone(), lost, None, whole))
    }

    /// One physical expression for the operation and all below it that needs no node of its own.
    fn embedding(&self, expr: &Expr) -> Result<Node> {
        let mut arguments = Arguments::new(self);
        let embedded = expr.clone().map_children(|child| arguments.embed(child).map(Transformed::yes))?.data;
        let physical = physical(&embedded, &arguments.schema()?)?;
        Ok(arguments.call(physical, self.data_type(expr)?, Lost::Fine, None, expr))
    }

    /// Whether the expression has to be a node: it may fail, or it chooses who may.
    fn needs_node(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Column(_)) || self.fails(expr) || self.is_lazy(expr) || self.enum_alone(expr).is_some()
    }
}

fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    create_physical_expr(expr, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.is_null())
}

fn is_pattern(op: Operator) -> bool {
    matches!(op, Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch)
}

/// A constant pattern that is no regular expression would fail for every record.
fn check_pattern(expr: &Expr) -> Result<()> {
    let pattern = match expr {
        Expr::BinaryExpr(binary) if is_pattern(binary.op) => Some(binary.right.as_ref()),
        Expr::ScalarFunction(call) if call.func.name().starts_with("regexp_") => call.args.get(1),
        _ => None,
    };
    let Some(Expr::Literal(pattern, _)) = pattern else { return Ok(()) };
    let Some(Some(pattern)) = pattern.try_as_str() else { return Ok(()) };
    let checked = regex::Regex::new(pattern).map(|_| ());
    checked.map_err(|error| plan_datafusion_err!("'{pattern}' is no regular expression: {}", error.to_string().replace('\n', " ")))
}

/// Before its constants are computed: even a constant may be too large to be.
fn check_size(expr: &Expr) -> Result<()> {
    match expr {
        Expr::ScalarFunction(call) => unbounded(call).map_or(Ok(()), |reason| plan_err!("{reason}")),
        _ => Ok(()),
    }
}

/// The arguments of a call as they are collected: equal ones are computed once.
struct Arguments<'a> {
    compiler: &'a Compiler<'a>,
    exprs: Vec<Expr>,
    fields: Vec<Field>,
    arguments: Vec<Argument>,
}

impl<'a> Arguments<'a> {
    fn new(compiler: &'a Compiler<'a>) -> Self {
        Self { compiler, exprs: Vec::new(), fields: Vec::new(), arguments: Vec::new() }
    }

    /// The expression with each part that needs a node replaced by an argument.
    fn embed(&mut self, expr: Expr) -> Result<Expr> {
        if self.compiler.needs_node(&expr) {
            return self.operand(&expr);
        }
        expr.map_children(|child| self.embed(child).map(Transformed::yes)).map(|done| done.data)
    }

    /// The whole expression as an argument, unless it is a constant.
    fn operand(&mut self, expr: &Expr) -> Result<Expr> {
        if matches!(expr, Expr::Literal(..)) {
            return Ok(expr.clone());
        }
        let place = match self.exprs.iter().position(|known| known == expr) {
            Some(place) => place,
            None => self.add(expr)?,
        };
        Ok(Expr::Column(Column::new_unqualified(self.fields[place].name().clone())))
    }

    fn add(&mut self, expr: &Expr) -> Result<usize> {
        let place = self.exprs.len();
        self.fields.push(Field::new(format!("${place}"), self.compiler.data_type(expr)?, true));
        self.arguments.push(Argument { node: self.compiler.node(expr)?, text: text(expr) });
        self.exprs.push(expr.clone());
        Ok(place)
    }

    fn schema(&self) -> Result<DFSchema> {
        DFSchema::from_unqualified_fields(self.fields.clone().into(), std::collections::HashMap::new())
    }

    fn call(
        self,
        physical: Arc<dyn PhysicalExpr>,
        data_type: DataType,
        lost: Lost,
        integers: Option<Arc<PhysicalBinary>>,
        whole: &Expr,
    ) -> Node {
        let schema = Arc::new(ArrowSchema::new(self.fields));
        Node::Call(Box::new(Call { physical, arguments: self.arguments, schema, data_type, lost, integers, text: text(whole) }))
    }
}

/// The expression much as it stands in SQL.
fn text(expr: &Expr) -> String {
    wording::sql(&expr.human_display().to_string())
}
