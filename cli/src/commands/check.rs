//! `millrace check`: what is wrong with a project, before anything runs.

use std::process::ExitCode;

use millrace_provision::{Facts, Wanted, differences, facts, finding, unanswered};
use millrace_runtime::project::{Checked, Finding, Places};

use crate::args::Check;
use crate::project::{self, Loaded, Project, shown, summary};

pub(crate) async fn execute(args: &Check) -> anyhow::Result<ExitCode> {
    let location = args.profile.of(&args.project);
    let checked = if args.connected { connected(Loaded::check(location)).await? } else { project::check(location) };
    let failed = checked.findings.has_errors() || checked.project.is_none();
    if args.json {
        println!("{:#}", checked.findings.to_json());
    } else {
        eprint!("{}", shown(&checked.findings));
        if !failed {
            println!("The project is sound.\n{}", summary(&checked.flow));
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Adds what only servers know. They are asked for a project that is sound: another one's needs are not known.
async fn connected(mut checked: Checked<Project>) -> anyhow::Result<Checked<Project>> {
    let sound = checked.clone().runnable().ok();
    let Some(loaded) = sound.map(|(project, flow, _)| Loaded::new(project, flow)) else { return Ok(checked) };
    let wanted = loaded.wanted()?;
    let facts = facts::read(&wanted, &loaded.cluster("check"), &loaded.registry()?).await;
    checked.findings.add(found(&wanted, &facts, &checked.places));
    Ok(checked)
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
