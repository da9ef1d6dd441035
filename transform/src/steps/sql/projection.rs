//! The columns that a SELECT gives, each with its name and what it is made of.

use std::collections::{BTreeMap, BTreeSet};

use datafusion_expr::Expr;
use datafusion_sql::sqlparser::ast::{
    ExceptSelectItem, ExcludeSelectItem, Expr as SqlExpr, Ident, ObjectName, RenameSelectItem, ReplaceSelectElement, SelectItem,
    SelectItemQualifiedWildcardKind, Spanned, WildcardAdditionalOptions,
};
use datafusion_sql::sqlparser::tokenizer::Span;

use super::parse::{self, Parsed};
use super::planner::Scope;
use super::{boolean, refuse};
use crate::steps::error::{Compiled, StepError};

/// One column of the output.
pub(in crate::steps) struct Item {
    pub(in crate::steps) name: String,
    pub(in crate::steps) expr: Expr,
    pub(in crate::steps) span: Span,
}

/// A planned SELECT.
pub(in crate::steps) struct Query {
    pub(in crate::steps) items: Vec<Item>,
    pub(in crate::steps) filter: Option<Expr>,
}

/// Plans one SELECT over the columns of `scope`.
pub(in crate::steps) fn query(sql: &str, scope: &Scope) -> Compiled<Query> {
    let Parsed { select, qualifier } = parse::select(sql)?;
    let filter = select.selection.map(|sql| boolean(sql, scope, &qualifier)).transpose()?;
    let planner = Planner { scope, qualifier: &qualifier };
    let mut items = Vec::new();
    for item in select.projection {
        items.extend(planner.item(item)?);
    }
    check_names(&items)?;
    Ok(Query { items, filter })
}

struct Planner<'a> {
    scope: &'a Scope,
    qualifier: &'a str,
}

impl Planner<'_> {
    fn item(&self, item: SelectItem) -> Compiled<Vec<Item>> {
        let span = item.span();
        match item {
            SelectItem::UnnamedExpr(expr) => Ok(vec![self.named(implied_name(&expr)?, expr, span)?]),
            SelectItem::ExprWithAlias { expr, alias } => Ok(vec![self.named(alias.value, expr, span)?]),
            SelectItem::ExprWithAliases { .. } => Err(StepError::invalid("give the expression one name").at(span)),
            SelectItem::Wildcard(options) => self.wildcard(options, span),
            SelectItem::QualifiedWildcard(table, options) => {
                self.own_table(&table, span)?;
                self.wildcard(options, span)
            }
        }
    }

    fn own_table(&self, table: &SelectItemQualifiedWildcardKind, span: Span) -> Compiled<()> {
        let is_own = matches!(table, SelectItemQualifiedWildcardKind::ObjectName(name)
            if matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|name| name.value == self.qualifier)));
        if is_own { Ok(()) } else { Err(refuse::other_table(table.to_string().trim_end_matches(".*"), self.qualifier, span)) }
    }

    fn named(&self, name: String, expr: SqlExpr, span: Span) -> Compiled<Item> {
        Ok(Item { name, expr: self.scope.plan(expr, self.qualifier)?, span })
    }

    fn wildcard(&self, options: WildcardAdditionalOptions, span: Span) -> Compiled<Vec<Item>> {
        if options.opt_ilike.is_some() || options.opt_alias.is_some() {
            return Err(StepError::invalid("write * with EXCLUDE, REPLACE or RENAME only").at(span));
        }
        let left_out = self.known(left_out(options.opt_exclude, options.opt_except))?;
        let renamed = self.renamed(options.opt_rename)?;
        let mut replaced = self.replaced(options.opt_replace.into_iter().flat_map(|replace| replace.items))?;
        let kept = self.scope.names().filter(|name| !left_out.contains(*name));
        Ok(kept
            .map(|name| Item {
                name: renamed.get(name).cloned().unwrap_or_else(|| name.to_owned()),
                expr: replaced.remove(name).unwrap_or_else(|| datafusion_expr::ident(name)),
                span,
            })
            .collect())
    }

    fn known(&self, names: Vec<Ident>) -> Compiled<BTreeSet<String>> {
        names.into_iter().map(|name| self.column(name)).collect()
    }

    fn column(&self, name: Ident) -> Compiled<String> {
        if self.scope.names().any(|known| known == name.value) {
            return Ok(name.value);
        }
        Err(refuse::unknown_column(&name.value, self.scope.names()).at(name.span))
    }

    fn renamed(&self, rename: Option<RenameSelectItem>) -> Compiled<BTreeMap<String, String>> {
        let pairs = match rename {
            None => Vec::new(),
            Some(RenameSelectItem::Single(pair)) => vec![pair],
            Some(RenameSelectItem::Multiple(pairs)) => pairs,
        };
        pairs.into_iter().map(|pair| Ok((self.column(pair.ident)?, pair.alias.value))).collect()
    }

    fn replaced(&self, elements: impl Iterator<Item = Box<ReplaceSelectElement>>) -> Compiled<BTreeMap<String, Expr>> {
        elements.map(|element| Ok((self.column(element.column_name)?, self.scope.plan(element.expr, self.qualifier)?))).collect()
    }
}

fn left_out(exclude: Option<ExcludeSelectItem>, except: Option<ExceptSelectItem>) -> Vec<Ident> {
    let excluded = match exclude {
        None => Vec::new(),
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        Some(ExcludeSelectItem::Multiple(names)) => names,
    };
    let excepted = except.into_iter().flat_map(|except| std::iter::once(except.first_element).chain(except.additional_elements));
    excluded.iter().filter_map(last_part).chain(excepted).collect()
}

fn last_part(name: &ObjectName) -> Option<Ident> {
    name.0.last().and_then(|part| part.as_ident().cloned())
}

/// A column keeps its name; anything else has to be given one.
fn implied_name(expr: &SqlExpr) -> Compiled<String> {
    match expr {
        SqlExpr::Identifier(name) => Ok(name.value.clone()),
        SqlExpr::CompoundIdentifier(parts) => Ok(parts.last().map(|part| part.value.clone()).unwrap_or_default()),
        SqlExpr::Nested(inner) => implied_name(inner),
        other => Err(StepError::invalid(format!("give {other} a name: {other} AS name")).at(other.span())),
    }
}

fn check_names(items: &[Item]) -> Compiled<()> {
    let mut seen = BTreeSet::new();
    for item in items {
        if !is_avro_name(&item.name) {
            return Err(StepError::invalid(format!(
                "{} can't name an Avro field; use letters, digits and _, and begin with no digit",
                item.name
            ))
            .at(item.span));
        }
        if !seen.insert(item.name.as_str()) {
            return Err(StepError::invalid(format!("two columns are named {}; give one another name with AS", item.name)).at(item.span));
        }
    }
    Ok(())
}

/// Avro 1.11, "Names".
fn is_avro_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
