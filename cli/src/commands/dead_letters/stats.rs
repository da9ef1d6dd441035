//! How many letters there are.

use millrace_surgery::stats::{self, Count, Kind};
use serde_json::json;

use super::{chosen, count, plain};
use crate::args::{Filter, Project};
use crate::output::outln;
use crate::project::Loaded;
use crate::table::table;

pub(super) async fn execute(project: &Project, filter: &Filter, as_json: bool) -> anyhow::Result<()> {
    let loaded = Loaded::open(project)?;
    let letters = chosen::filtered(&loaded, &loaded.theatre()?, filter).await?;
    let counts = stats::count(&letters);
    if as_json {
        for (kind, count) in &counts {
            outln!(
                "{}",
                json!({ "pipeline": kind.pipeline, "code": kind.code, "stage": kind.stage, "hour": kind.hour,
                "letters": count.letters, "waiting": count.waiting, "behind": count.behind, "bytes": count.bytes })
            );
        }
        return Ok(());
    }
    let mut table = table(["pipeline", "code", "stage", "hour", "letters", "waiting", "behind", "bytes"]);
    for (kind, Count { letters, waiting, behind, bytes }) in &counts {
        let Kind { pipeline, code, stage, hour } = kind;
        table.add_row([
            plain(pipeline),
            plain(code),
            plain(stage),
            hour.clone(),
            letters.to_string(),
            waiting.to_string(),
            behind.to_string(),
            bytes.to_string(),
        ]);
    }
    outln!("{table}\n{}, {} of them waiting.", count(letters.len()), letters.iter().filter(|letter| letter.resolution.is_none()).count());
    Ok(())
}
