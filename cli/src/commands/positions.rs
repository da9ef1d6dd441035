//! `millrace positions`: how far pipelines have read, and going on where that is nowhere any more.

use std::process::ExitCode;

use anyhow::bail;
use millrace_surgery::Route;
use millrace_surgery::positions::{Moved, Onward, accept_for_ingest, accept_for_load, accept_for_transform};

use crate::args::{Accept, Onset, Positions, PositionsCommand};
use crate::output::outln;
use crate::project::Loaded;
use crate::table::table;

pub(crate) async fn execute(args: &Positions) -> anyhow::Result<ExitCode> {
    match &args.command {
        PositionsCommand::Accept(accept) => accepted(accept).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn accepted(args: &Accept) -> anyhow::Result<()> {
    let loaded = Loaded::open(&args.project)?;
    let routes = loaded.routes()?;
    let id = if routes.contains_key(&args.pipeline) { args.pipeline.clone() } else { loaded.pipeline_id(&args.pipeline) };
    let (cluster, onward) = (loaded.cluster("positions"), args.from.onward());
    if let Some(Route::Ingest(_)) = routes.get(&id) {
        accept_for_ingest(&cluster, &id).await?;
        outln!("{id} goes by the positions that there are now: what has none is read from its beginning.");
        return Ok(());
    }
    let moved = match routes.get(&id) {
        Some(Route::Load(load)) => accept_for_load(&cluster, &id, load, onward).await?,
        Some(Route::Transform(transform)) => accept_for_transform(&cluster, &id, transform, onward).await?,
        Some(Route::Ingest(_)) | None => bail!("the project has no pipeline {}", args.pipeline),
    };
    show(&id, &moved);
    Ok(())
}

fn show(id: &str, moved: &[Moved]) {
    if moved.is_empty() {
        outln!("Every position of {id} is one that its topic has: nothing was to be accepted.");
        return;
    }
    let mut shown = table(["partition", "was at", "goes on at"]);
    for Moved { partition, from, to } in moved {
        shown.add_row([partition.to_string(), from.to_string(), to.to_string()]);
    }
    outln!("{shown}");
    outln!("{id} goes on within a minute.");
}

impl Onset {
    const fn onward(self) -> Onward {
        match self {
            Self::Beginning => Onward::Beginning,
            Self::End => Onward::End,
        }
    }
}
