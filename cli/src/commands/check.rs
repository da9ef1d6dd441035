//! `millrace check`: what is wrong with a project, before anything runs.

use std::process::ExitCode;

use crate::args::Check;
use crate::project::Loaded;

pub(crate) fn execute(args: &Check) -> anyhow::Result<ExitCode> {
    let checked = Loaded::check(&args.project);
    if args.json {
        println!("{}", checked.findings.to_json());
    } else {
        eprint!("{}", checked.findings.render());
        if let Some(summary) = checked.summary() {
            println!("{summary}");
        }
    }
    Ok(if checked.findings.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
