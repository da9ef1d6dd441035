//! All of one letter.

use anyhow::Context;
use millrace_runtime::inspect::Inspector;
use millrace_surgery::id::{self, LetterId};
use millrace_surgery::letters;

use super::{chosen, list, plain};
use crate::args::Project;
use crate::output::outln;
use crate::project::Loaded;

pub(super) async fn execute(project: &Project, wanted: &LetterId, topics: &[String]) -> anyhow::Result<()> {
    let loaded = Loaded::open(project)?;
    let letters = letters::read(&loaded.cluster("reader"), &chosen::topics(&loaded, topics)).await?;
    let found = id::find(&letters, wanted)?;
    let letter = &found.letter;
    let inspector = Inspector::new(loaded.registry()?);
    let value = inspector.render(letter.value.as_deref()).await.context("reading the value")?;
    outln!("dead letter {}", letter.place);
    for name in ["pipeline", "stage", "code", "message", "topic", "partition", "offset"] {
        line(name, &plain(letter.said(name)));
    }
    line("at", &letter.at().map(|at| at.to_string()).unwrap_or_default());
    if let Ok(code) = letter.said("code").parse::<millrace_model::Code>() {
        line("what to do", code.help());
    }
    if let Some(resolution) = &found.resolution {
        line("settled", &list::told(resolution));
    }
    if found.behind > 0 {
        line("behind it", &format!("{} later records of its key wait until it is replayed or discarded", found.behind));
    }
    line("key", &inspector.render(letter.key.as_deref()).await?.to_string());
    for header in letter.original_headers() {
        let value = header.value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        line("header", &plain(&format!("{}: {value}", header.key)));
    }
    match letter.omitted_bytes() {
        Some(bytes) => {
            line("value", &format!("was too large to be kept whole: {bytes} bytes more, with its key, are where the record stands"));
        }
        None => line("value", &value.to_string()),
    }
    Ok(())
}

fn line(name: &str, value: &str) {
    outln!("  {name:<10} {value}");
}
