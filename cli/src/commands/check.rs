//! `millrace check`: what is wrong with a project, before anything runs.

mod reached;

use std::path::Path;
use std::process::ExitCode;

use millrace_model::{Code, Fault};
use millrace_provision::pull::{Drift, SchemaFolder};
use millrace_provision::{Facts, Wanted, differences, facts, finding, unanswered};
use millrace_runtime::project::{Checked, Finding, Location, Places};

use self::reached::Reached;
use crate::args::Check;
use crate::commands::schema::drift;
use crate::output::outln;
use crate::project::{self, Loaded, Project, folder, shown, summary};

pub(crate) async fn execute(args: &Check) -> anyhow::Result<ExitCode> {
    let location = args.profile.of(&args.project);
    let (checked, reached) = if args.connected { connected(location).await? } else { (project::check(location), Vec::new()) };
    let failed = checked.findings.has_errors() || checked.project.is_none();
    if args.json {
        outln!("{:#}", checked.findings.to_json());
    } else {
        eprint!("{}", shown(&checked.findings));
        if !failed {
            outln!("The project is sound.\n{}", summary(&checked.flow));
        }
        reached.iter().for_each(|one| outln!("{}", one.line()));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Adds what only servers know, and how each answers. They are asked for a project that is sound: another one's needs are not known.
async fn connected(location: Location<'_>) -> anyhow::Result<(Checked<Project>, Vec<Reached>)> {
    let mut checked = Loaded::check(location);
    let sound = checked.clone().runnable().ok();
    let Some(loaded) = sound.map(|(project, flow, _)| Loaded::new(project, flow)) else { return Ok((checked, Vec::new())) };
    let wanted = loaded.wanted()?;
    let (cluster, registry) = (loaded.cluster("check"), loaded.registry()?);
    let reached = reached::ask(&loaded, &cluster, &registry).await;
    let facts = facts::read(&wanted, &cluster, &registry).await;
    checked.findings.add(found(&wanted, &facts, &checked.places));
    checked.findings.add(reached.iter().filter_map(|one| one.finding(&wanted, &checked.places)));
    checked.findings.add(drifted(&loaded, &folder(location.path), &checked.places).await?);
    Ok((checked, reached))
}

/// What pulled schemas are no more.
async fn drifted(loaded: &Loaded, folder: &Path, places: &Places) -> anyhow::Result<Vec<Finding>> {
    let drifts = drift(loaded, &loaded.registry()?, &SchemaFolder::open(folder)?).await;
    let finding = |(name, drift): (String, Result<Option<Drift>, Fault>)| {
        let finding = match drift {
            Ok(drift) => Finding::warning(Code::SchemaDrift, drift?.message()).help("run `millrace schema pull`".to_owned()),
            Err(fault) => unanswered(&fault),
        };
        Some(finding.at(places.locate(&["schemas", &name])))
    };
    Ok(drifts.into_iter().filter_map(finding).collect())
}

fn found(wanted: &Wanted, facts: &Facts, places: &Places) -> Vec<Finding> {
    let differing = differences(wanted, facts).into_iter();
    let differing = differing.filter_map(|one| finding(&one.what).map(|finding| finding.at(places.locate(&one.path))));
    let kafka = facts.kafka.as_ref().err().map(|fault| unanswered(fault).at(places.locate(&["kafka"])));
    let registry = facts.subjects.as_ref().err().map(|fault| unanswered(fault).at(places.locate(&["registry"])));
    let tables = wanted.tables.iter().zip(&facts.tables).filter_map(|(table, told)| {
        let fault = told.as_ref().err()?;
        Some(unanswered(fault).at(places.locate(&["connections", &table.connection])))
    });
    differing.chain(kafka).chain(registry).chain(tables).collect()
}
