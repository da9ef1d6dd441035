//! Guessing what a misspelt name was meant to be.

use strsim::damerau_levenshtein;

/// The one of `known` that `name` is most like, if it is like enough to be a misspelling of it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |other: &str| damerau_levenshtein(&name, &other.to_lowercase());
    let close = |other: &str, distance: usize| distance <= (other.chars().count().max(name.chars().count()) / 3).max(1);
    let candidates = known.into_iter().map(|other| (distance(other), other));
    candidates.filter(|&(distance, other)| close(other, distance)).min().map(|(_, other)| other)
}

/// The help for an unknown `name` of a `kind` such as "topic": what was meant, or what there is.
pub fn help<'a>(name: &str, kind: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known {kind}: {}", known.join(", "))),
    }
}

/// Names as they are shown in a message.
pub(super) fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_is_guessed() {
        assert_eq!(nearest("hots", ["host", "port"]), Some("host"));
        assert_eq!(nearest("flights.rwa", ["flights.raw", "flights.delays"]), Some("flights.raw"));
        assert_eq!(nearest("Carrier", ["carrier"]), Some("carrier"));
        assert_eq!(nearest("zebra", ["host", "port"]), None);
    }

    #[test]
    fn without_a_guess_the_help_lists_what_there_is() {
        assert_eq!(help("zebra", "keys", ["host", "port"]).as_deref(), Some("known keys: host, port"));
        assert_eq!(help("hots", "keys", ["host", "port"]).as_deref(), Some("did you mean `host`?"));
        assert_eq!(help("zebra", "topics", []), None);
    }
}
