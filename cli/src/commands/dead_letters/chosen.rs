//! The letters that a command is about.

use anyhow::bail;
use millrace_runtime::dead_letters::DeadLetter;
use millrace_surgery::id;
use millrace_surgery::letters::{self, Letter, Topics};
use millrace_surgery::{Theatre, condition};

use crate::args::{Filter, Selection, Settled};
use crate::project::Loaded;

/// The topics that are meant: those named, else the project's.
pub(super) fn topics(loaded: &Loaded, named: &[String]) -> Topics {
    if named.is_empty() { Topics::OfTheProject(loaded.dead_letter_topics()) } else { Topics::Named(named.to_vec()) }
}

/// The letters of a filter, settled or not.
pub(super) async fn filtered(loaded: &Loaded, theatre: &Theatre, filter: &Filter) -> anyhow::Result<Vec<Letter>> {
    let letters = letters::read(&theatre.cluster, &topics(loaded, &filter.topics)).await?;
    of_filter(loaded, theatre, filter, letters).await
}

async fn of_filter(loaded: &Loaded, theatre: &Theatre, filter: &Filter, mut letters: Vec<Letter>) -> anyhow::Result<Vec<Letter>> {
    if let Some(pipeline) = &filter.pipeline {
        let id = loaded.pipeline_id(pipeline);
        letters.retain(|letter| [id.as_str(), pipeline].contains(&letter.letter.said("pipeline")));
    }
    Ok(match &filter.condition {
        Some(sql) => condition::choose(letters, sql, &theatre.registry).await?,
        None => letters,
    })
}

impl Settled {
    /// Whether a letter is among those that are meant.
    pub(super) fn means(&self, letter: &Letter) -> bool {
        self.all || letter.resolution.is_some() == self.resolved
    }
}

/// The letters that something is to be done to: `letters` without those that the selection does not choose.
pub(super) async fn selected(
    loaded: &Loaded,
    theatre: &Theatre,
    selection: &Selection,
    letters: Vec<Letter>,
) -> anyhow::Result<Vec<Letter>> {
    let Selection { ids, filter, every } = selection;
    let by_filter = *every || filter.condition.is_some() || filter.pipeline.is_some();
    if ids.is_empty() && !by_filter {
        bail!("say which dead letters: their IDs, as `millrace dead-letters list` prints them, --where, --pipeline or --every");
    }
    let named = ids.iter().map(|id| Ok(id::find(&letters, id)?.letter.identity())).collect::<anyhow::Result<Vec<_>>>()?;
    let kept = letters.into_iter().filter(|letter| named.is_empty() || named.contains(&letter.letter.identity()));
    of_filter(loaded, theatre, filter, kept.collect()).await
}

/// The letters alone.
pub(super) fn dead(letters: Vec<Letter>) -> Vec<DeadLetter> {
    letters.into_iter().map(|letter| letter.letter).collect()
}
