//! The functions that a step's SQL may call.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion_expr::{Expr, ScalarUDF, Volatility};
use datafusion_functions::all_default_functions;
use datafusion_functions_nested::all_default_nested_functions;

/// Scalar functions by name, in lower case, aliases included.
static SCALAR: LazyLock<HashMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let functions = all_default_functions().into_iter().chain(all_default_nested_functions());
    functions.flat_map(|function| names_of(&function).into_iter().map(move |name| (name, Arc::clone(&function)))).collect()
});

/// Functions of many rows, as they are known in SQL; refused by name.
const OF_MANY_ROWS: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "cume_dist",
    "dense_rank",
    "every",
    "first_value",
    "grouping",
    "lag",
    "last_value",
    "lead",
    "listagg",
    "max",
    "mean",
    "median",
    "min",
    "nth_value",
    "ntile",
    "percent_rank",
    "percentile_cont",
    "percentile_disc",
    "rank",
    "row_number",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "unnest",
    "var",
    "var_pop",
    "var_samp",
    "variance",
];

/// Functions that never fail, whatever value they are given.
const TOTAL: &[&str] = &[
    "array_length",
    "ascii",
    "btrim",
    "cardinality",
    "ceil",
    "character_length",
    "concat",
    "concat_ws",
    "contains",
    "date_part",
    "ends_with",
    "floor",
    "get_field",
    "greatest",
    "initcap",
    "isnan",
    "iszero",
    "least",
    "left",
    "lower",
    "ltrim",
    "named_struct",
    "nullif",
    "octet_length",
    "replace",
    "reverse",
    "right",
    "round",
    "rtrim",
    "sqrt",
    "starts_with",
    "strpos",
    "struct",
    "substr",
    "translate",
    "trunc",
    "upper",
];

/// Functions that give null only for a null argument.
const NULL_FROM_NULL: &[&str] = &[
    "abs",
    "ascii",
    "btrim",
    "ceil",
    "character_length",
    "contains",
    "date_bin",
    "date_part",
    "date_trunc",
    "ends_with",
    "floor",
    "initcap",
    "left",
    "lower",
    "lpad",
    "ltrim",
    "md5",
    "octet_length",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "split_part",
    "sqrt",
    "starts_with",
    "strpos",
    "substr",
    "to_hex",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_seconds",
    "translate",
    "trunc",
    "upper",
];

fn names_of(function: &ScalarUDF) -> Vec<String> {
    std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)).map(str::to_lowercase).collect()
}

/// The scalar function of that name, in any case.
pub(super) fn scalar(name: &str) -> Option<Arc<ScalarUDF>> {
    SCALAR.get(&name.to_lowercase()).map(Arc::clone)
}

/// The names of all scalar functions.
pub(super) fn scalar_names() -> impl Iterator<Item = &'static str> {
    SCALAR.keys().map(String::as_str)
}

/// Whether the name is that of an aggregate, a window or a set-returning function.
pub(super) fn is_of_many_rows(name: &str) -> bool {
    OF_MANY_ROWS.contains(&name.to_lowercase().as_str())
}

/// Whether the function gives another result each time.
pub(super) fn is_volatile(function: &ScalarUDF) -> bool {
    function.signature().volatility == Volatility::Volatile
}

/// Whether the call fails for no value of its arguments.
pub(in crate::steps) fn is_total(function: &ScalarUDF, args: &[Expr]) -> bool {
    match function.name() {
        "split_part" => matches!(args.get(2), Some(Expr::Literal(position, _)) if is_not_zero(position)),
        name => TOTAL.contains(&name),
    }
}

fn is_not_zero(position: &datafusion_common::ScalarValue) -> bool {
    use datafusion_common::ScalarValue::{Int32, Int64};
    matches!(position, Int64(Some(value)) if *value != 0) || matches!(position, Int32(Some(value)) if *value != 0)
}

/// Whether the function gives null only where an argument is null.
pub(super) fn is_null_from_null(function: &ScalarUDF) -> bool {
    NULL_FROM_NULL.contains(&function.name())
}
