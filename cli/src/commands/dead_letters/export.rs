//! Letters into files.

use std::fs;

use anyhow::Context;
use millrace_surgery::letters::{self, Letter};
use millrace_surgery::{Theatre, export};

use super::{chosen, count};
use crate::args::{Export, ExportFormat};
use crate::output::out;
use crate::project::Loaded;

pub(super) async fn execute(args: &Export) -> anyhow::Result<()> {
    let loaded = Loaded::open(&args.project)?;
    let theatre = loaded.theatre()?;
    let all = letters::read(&theatre.cluster, &chosen::topics(&loaded, &args.selection.filter.topics)).await?;
    let mut letters = chosen::selected(&loaded, &theatre, &args.selection, all).await?;
    if args.selection.ids.is_empty() {
        letters.retain(|letter| args.settled.means(letter));
    }
    write(args, &theatre, &letters).await?;
    eprintln!("{} exported.", count(letters.len()));
    Ok(())
}

async fn write(args: &Export, theatre: &Theatre, letters: &[Letter]) -> anyhow::Result<()> {
    let Some(output) = &args.output else {
        out!("{}", lines(theatre, letters).await?);
        return Ok(());
    };
    let bytes = match args.format {
        ExportFormat::Raw => return Ok(export::raw(letters, output)?),
        ExportFormat::Json => lines(theatre, letters).await?.into_bytes(),
        ExportFormat::Avro => export::avro(letters)?,
    };
    fs::write(output, bytes).with_context(|| format!("can't write {}", output.display()))
}

async fn lines(theatre: &Theatre, letters: &[Letter]) -> anyhow::Result<String> {
    Ok(export::json_lines(letters, &theatre.registry).await?.iter().map(|line| format!("{line}\n")).collect())
}
