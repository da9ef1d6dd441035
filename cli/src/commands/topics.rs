//! `millrace topics`: which there are, and what is in them.

use std::process::ExitCode;

use millrace_runtime::inspect::Inspector;
use millrace_runtime::kafka::{Tail, topics};

use crate::args::{Project, Topics, TopicsCommand};
use crate::output::outln;
use crate::project::Loaded;
use crate::table::table;

pub(crate) async fn execute(args: &Topics) -> anyhow::Result<ExitCode> {
    match &args.command {
        TopicsCommand::List { project } => list(project).await?,
        TopicsCommand::Tail { topic, project, last, no_follow } => tail(project, topic, *last, !no_follow).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(project: &Project) -> anyhow::Result<()> {
    let cluster = Loaded::open(project)?.cluster("reader");
    let mut table = table(["topic", "partitions", "offsets"]);
    for topic in topics::list(&cluster).await?.iter().filter(|topic| !topic.name.starts_with("__")) {
        let offsets: i64 = topics::extents(&cluster, &topic.name).await?.iter().map(|extent| extent.end - extent.start).sum();
        table.add_row([topic.name.clone(), topic.partitions.to_string(), offsets.to_string()]);
    }
    outln!("{table}");
    outln!("Offsets count transaction markers too: a few more than records.");
    Ok(())
}

async fn tail(project: &Project, topic: &str, last: usize, follow: bool) -> anyhow::Result<()> {
    let loaded = Loaded::open(project)?;
    let inspector = Inspector::new(loaded.registry()?);
    let mut tail = Tail::open(&loaded.cluster("reader"), topic, last, follow).await?;
    while let Some(records) = tail.next().await? {
        for row in 0..records.len() {
            outln!("{}", inspector.line(&records.record(row)).await?);
        }
    }
    Ok(())
}
