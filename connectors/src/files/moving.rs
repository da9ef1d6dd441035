//! Where files are moved to when they were read: where their pattern does not find them again.

use std::path::{Component, Path};

use glob::Pattern;
use millrace_model::{Code, Fault, Result};

/// Refuses to move the files of `pattern` to a folder where it finds them.
pub(super) fn check(pattern: &str, folder: &str, shown: &str) -> Result<()> {
    if finds_again(&names(pattern), &names(folder)) {
        let message =
            format!("files that are moved to {shown} are found there by `{pattern}` and read again: name a folder that it does not reach");
        return Err(Fault::operator(Code::ProjectSyntax, message));
    }
    Ok(())
}

/// The names that a path consists of.
fn names(path: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if names.last().is_some_and(|last| last != "..") => names.truncate(names.len() - 1),
            other => names.push(other.as_os_str().to_string_lossy().into_owned()),
        }
    }
    names
}

/// Whether a file of the pattern, moved to the folder under its name below the pattern's folder, can be found by the pattern there.
///
/// Without `**` a pattern finds names at one depth only, which a folder further down is not at.
fn finds_again(pattern: &[String], folder: &[String]) -> bool {
    let is_fixed = |name: &&String| !name.contains(['*', '?', '[']);
    let fixed = pattern.iter().take(pattern.len().saturating_sub(1)).take_while(is_fixed).count();
    let Some(below) = folder.strip_prefix(&pattern[..fixed]) else { return false };
    let mut first = pattern[fixed..].iter();
    let before: Vec<&String> = first.by_ref().take_while(|name| *name != "**").collect();
    let reaches_down = before.len() < pattern.len() - fixed;
    let fits = |(pattern, name): (&&String, &String)| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name));
    below.is_empty() || (reaches_down && before.iter().zip(below).all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_the_pattern_reaches_takes_no_files_of_it() {
        let found = |pattern: &str, folder: &str| check(pattern, folder, folder).is_err();
        assert!(found("in/*.csv", "in") && found("/p/in/*.csv", "/p/./in/x/..") && found("in/a.csv", "in/") && found("a.csv", "."));
        assert!(found("in/**/*.csv", "in/done") && found("in/2*/**/*.csv", "in/2013/done") && found("**/*.csv", "done/2013"));
        assert!(!found("in/*.csv", "in/done") && !found("in/*/*.csv", "in/done") && !found("in/**/*.csv", "done"));
        assert!(!found("in/2*/**/*.csv", "in/done") && !found("in/*.csv", "inner") && !found("in/a.csv", "done"));
    }
}
