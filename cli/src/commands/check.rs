//! `millrace check`: what is wrong with a project, before anything runs.

use std::process::ExitCode;

use crate::args::Check;
use crate::project::{self, shown, summary};

pub(crate) fn execute(args: &Check) -> ExitCode {
    let checked = project::check(args.profile.of(&args.project));
    let failed = checked.findings.has_errors() || checked.project.is_none();
    if args.json {
        println!("{:#}", checked.findings.to_json());
    } else {
        eprint!("{}", shown(&checked.findings));
        if !failed {
            println!("The project is sound.\n{}", summary(&checked.flow));
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
