//! Letters that nobody needs: marked so, never deleted.

use jiff::Timestamp;
use millrace_model::Result;
use millrace_runtime::dead_letters::{self, DeadLetter, How, Resolution};

use crate::Theatre;
use crate::replay::{by_pipeline, fence};

/// What became of a letter that was to be discarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discarded {
    /// It is marked.
    Marked,
    /// It had been settled before; its mark stays.
    Settled(Resolution),
}

/// Marks letters as discarded, those of one pipeline in one transaction; returns what became of each.
pub async fn discard(theatre: &Theatre, letters: Vec<DeadLetter>, by: &str, reason: &str) -> Result<Vec<(DeadLetter, Discarded)>> {
    let mut done = Vec::new();
    for (pipeline, letters) in by_pipeline(letters) {
        done.extend(discard_of(theatre, &pipeline, letters, by, reason).await?);
    }
    Ok(done)
}

async fn discard_of(
    theatre: &Theatre,
    pipeline: &str,
    letters: Vec<DeadLetter>,
    by: &str,
    reason: &str,
) -> Result<Vec<(DeadLetter, Discarded)>> {
    let (mut producer, mut marks) = fence::take(&theatre.cluster, pipeline).await?;
    producer.begin()?;
    let mut done = Vec::with_capacity(letters.len());
    for letter in letters {
        let outcome = if let Some(mark) = marks.of(&letter) {
            Discarded::Settled(mark.clone())
        } else {
            let (identity, mark) = (letter.identity(), mark_of(&letter, by, reason));
            dead_letters::mark(&mut producer, &identity, &mark)?;
            marks.insert(identity, mark);
            Discarded::Marked
        };
        done.push((letter, outcome));
    }
    producer.commit()?;
    Ok(done)
}

fn mark_of(letter: &DeadLetter, by: &str, reason: &str) -> Resolution {
    Resolution {
        how: How::Discarded,
        at: Timestamp::now(),
        rejected_at: letter.at(),
        by: by.to_owned(),
        reason: reason.to_owned(),
        to: String::new(),
    }
}
