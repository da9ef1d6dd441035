//! `millrace dead-letters`: what could not be processed, why, and what becomes of it.

mod chosen;
mod discard;
mod export;
mod list;
mod replay;
mod show;
mod stats;

use std::process::ExitCode;

use crate::args::{DeadLetters, DeadLettersCommand};

pub(crate) async fn execute(args: &DeadLetters) -> anyhow::Result<ExitCode> {
    match &args.command {
        DeadLettersCommand::List { project, filter, settled, json } => list::execute(project, filter, settled, *json).await?,
        DeadLettersCommand::Show { id, project, topics } => show::execute(project, id, topics).await?,
        DeadLettersCommand::Stats { project, filter, json } => stats::execute(project, filter, *json).await?,
        DeadLettersCommand::Replay(args) => return replay::execute(args).await,
        DeadLettersCommand::Discard(args) => discard::execute(args).await?,
        DeadLettersCommand::Export(args) => export::execute(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Text from outside for a terminal: what would move the cursor or colour it is shown as what it is.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// `1 letter`, `2 letters`.
fn count(number: usize) -> String {
    format!("{number} dead {}", if number == 1 { "letter" } else { "letters" })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_message_moves_no_cursor() {
        assert_eq!(super::plain("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
    }
}
