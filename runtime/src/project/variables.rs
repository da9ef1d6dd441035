//! `${NAME}` and `${NAME:default}` in the values of the project file.

use super::tree::{Node, Text, Value};

/// Where the values of variables come from.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The variables of this process.
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What is wrong with a variable's use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum VariableError {
    /// It has no value and no default.
    Unset(String),
    /// What follows `${` is not a name and a `}`.
    Malformed,
}

/// Replaces the variables in each text of the tree; what is wrong goes to `report`, with the node it is in.
pub(super) fn substitute(node: &mut Node, environment: &Environment<'_>, report: &mut impl FnMut(&Node, VariableError)) {
    match &mut node.value {
        Value::Text(text) => {
            if let Err(error) = replace(text, environment) {
                text.is_unset = true;
                report(node, error);
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| substitute(item, environment, report)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| substitute(&mut entry.node, environment, report)),
        _ => {}
    }
}

fn replace(text: &mut Text, environment: &Environment<'_>) -> Result<(), VariableError> {
    let mut out = String::with_capacity(text.content.len());
    let mut rest = text.content.as_str();
    while let Some(at) = rest.find("${") {
        if let Some(plain) = rest[..at].strip_suffix('$') {
            out.push_str(plain);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let (reference, after) = rest[at + 2..].split_once('}').ok_or(VariableError::Malformed)?;
        let (name, default) = reference.split_once(':').map_or((reference, None), |(name, default)| (name, Some(default)));
        text.variables.push(name.to_owned());
        out.push_str(&value(name, default, environment)?);
        rest = after;
    }
    out.push_str(rest);
    text.content = out;
    Ok(())
}

fn value(name: &str, default: Option<&str>, environment: &Environment<'_>) -> Result<String, VariableError> {
    if !is_name(name) {
        return Err(VariableError::Malformed);
    }
    match (environment(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(VariableError::Unset(name.to_owned())),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> Result<String, VariableError> {
        let environment = |name: &str| match name {
            "HOST" => Some("db".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${HOST}: [".to_owned()),
            _ => None,
        };
        let mut text = Text::plain(text);
        replace(&mut text, &environment).map(|()| text.content)
    }

    #[test]
    fn variables_are_replaced_by_their_values_or_defaults() {
        assert_eq!(replaced("${HOST}:${PORT:5439}/${EMPTY}x").expect("replaced"), "db:5439/x");
        assert_eq!(replaced("${URL:http://localhost:8081}").expect("replaced"), "http://localhost:8081");
        assert_eq!(replaced("${EMPTY:default}${NONE:}").expect("replaced"), "default");
    }

    #[test]
    fn a_value_is_not_read_again() {
        assert_eq!(replaced("${TRICKY}").expect("replaced"), "${HOST}: [");
    }

    #[test]
    fn two_dollars_are_one_and_a_dollar_alone_is_itself() {
        assert_eq!(replaced("$${HOST} $HOST $1 $$ ^a$").expect("replaced"), "${HOST} $HOST $1 $$ ^a$");
    }

    #[test]
    fn a_variable_without_a_value_or_a_name_is_an_error() {
        assert_eq!(replaced("${NONE}"), Err(VariableError::Unset("NONE".into())));
        for text in ["${", "${}", "${HOST", "${1}", "${a b}", "${HOST?}"] {
            assert_eq!(replaced(text), Err(VariableError::Malformed), "{text}");
        }
    }
}
