//! `millrace schema diff`: two schemas, field by field, and whether each reads what the other wrote.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use millrace_provision::compare::compare;
use serde_json::Value;

use crate::args::DiffSchemas;
use crate::output::{out, outln};
use crate::project::Loaded;

/// As `diff` does: 0 when nothing differs, 1 when something does.
pub(crate) async fn execute(args: &DiffSchemas) -> anyhow::Result<ExitCode> {
    let comparison = compare(&named(&args.a, args).await?, &named(&args.b, args).await?)?;
    if args.json {
        outln!("{:#}", comparison.to_json());
    } else {
        out!("{comparison}");
    }
    Ok(if comparison.is_same() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The schema that a name stands for: `subject:NAME`, `subject:NAME@VERSION`, `topic:NAME`, or a file.
async fn named(name: &str, args: &DiffSchemas) -> anyhow::Result<Value> {
    match name.split_once(':') {
        Some(("subject", subject)) => of_subject(subject, &Loaded::open(&args.project)?).await,
        Some(("topic", topic)) => of_topic(topic, &Loaded::open(&args.project)?),
        _ => of_file(Path::new(name)),
    }
}

async fn of_subject(subject: &str, loaded: &Loaded) -> anyhow::Result<Value> {
    let (subject, version) = match subject.rsplit_once('@') {
        Some((subject, version)) => (subject, Some(version.parse().with_context(|| format!("{version} is no version of a subject"))?)),
        None => (subject, None),
    };
    match loaded.registry()?.version(subject, version).await? {
        Some(found) => Ok(serde_json::from_str(&found.schema)?),
        None => bail!("the registry has no such version of a subject {subject}"),
    }
}

fn of_topic(topic: &str, loaded: &Loaded) -> anyhow::Result<Value> {
    match loaded.flow.topics.get(topic) {
        Some(topic) => Ok(topic.schema.avro().clone()),
        None => bail!("the project has no topic {topic}; it has: {}", loaded.flow.topics.keys().cloned().collect::<Vec<_>>().join(", ")),
    }
}

fn of_file(file: &Path) -> anyhow::Result<Value> {
    let what = || format!("{} is neither a schema file, subject:NAME[@VERSION], nor topic:NAME", file.display());
    let text = std::fs::read_to_string(file).with_context(what)?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}
