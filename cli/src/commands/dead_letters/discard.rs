//! Letters that nobody needs.

use millrace_surgery::discard::{Discarded, discard};
use millrace_surgery::id::Names;
use millrace_surgery::letters;

use super::{chosen, count, list};
use crate::args::Discard;
use crate::output::outln;
use crate::project::Loaded;

pub(super) async fn execute(args: &Discard) -> anyhow::Result<()> {
    let loaded = Loaded::open(&args.project)?;
    let theatre = loaded.theatre()?;
    let all = letters::read(&theatre.cluster, &chosen::topics(&loaded, &args.selection.filter.topics)).await?;
    let names = Names::among(all.iter().map(|letter| &letter.letter));
    let mut letters = chosen::selected(&loaded, &theatre, &args.selection, all).await?;
    if args.selection.ids.is_empty() {
        letters.retain(|letter| letter.resolution.is_none());
    }
    let mut marked = 0;
    for (letter, outcome) in discard(&theatre, chosen::dead(letters), &args.by, &args.reason).await? {
        match outcome {
            Discarded::Marked => marked += 1,
            Discarded::Settled(mark) => outln!("{} had been {}", names.of(&letter), list::told(&mark)),
        }
    }
    outln!("{} marked as discarded.", count(marked));
    Ok(())
}
