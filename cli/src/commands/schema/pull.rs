//! `millrace schema pull`: schemas of subjects, tables and queries, into files of the project.

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use millrace_model::Result;
use millrace_provision::pull::{Drift, Pulled, SchemaFolder, pull};
use millrace_runtime::registry::Registry;

use crate::args::PullSchemas;
use crate::output::outln;
use crate::project::{Loaded, Project, folder, shown};

pub(crate) async fn execute(args: &PullSchemas) -> anyhow::Result<ExitCode> {
    // What is to be pulled may be what the project still lacks: only its shape has to be right.
    let checked = Loaded::check(args.project.location());
    let project = checked.project.with_context(|| format!("the project can't be read\n{}", shown(&checked.findings)))?;
    ensure!(!project.schemas.is_empty(), "the project names no schema to pull; name one under schemas:");
    let schemas = SchemaFolder::open(&folder(args.project.location().path))?;
    let (pulled, drifts) = pull_all(&project, &schemas).await?;
    for drift in &drifts {
        outln!("{}", drift.message());
    }
    if drifts.is_empty() {
        outln!("The schemas are as they were pulled.");
    } else if args.check {
        outln!("`millrace schema pull` writes them.");
        return Ok(ExitCode::FAILURE);
    } else {
        schemas.write(&pulled, &project.schemas)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn pull_all(project: &Project, schemas: &SchemaFolder) -> anyhow::Result<(Vec<Pulled>, Vec<Drift>)> {
    let registry = Registry::new(&project.registry)?;
    let (mut pulled, mut drifts) = (Vec::new(), Vec::new());
    for (name, wanted) in &project.schemas {
        let one =
            pull(name, wanted, &registry, &project.connections).await.with_context(|| format!("the schema {name} can't be pulled"))?;
        drifts.extend(schemas.drift(&one));
        pulled.push(one);
    }
    Ok((pulled, drifts))
}

/// How each schema of the project differs from what it was pulled from, or why that can't be told.
pub(crate) async fn drift(loaded: &Loaded, registry: &Registry, schemas: &SchemaFolder) -> Vec<(String, Result<Option<Drift>>)> {
    let mut found = Vec::new();
    for (name, wanted) in &loaded.project.schemas {
        let pulled = pull(name, wanted, registry, &loaded.project.connections).await;
        found.push((name.clone(), pulled.map(|pulled| schemas.drift(&pulled))));
    }
    found
}
