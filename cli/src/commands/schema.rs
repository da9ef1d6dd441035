//! `millrace schema`: the project file's definition, for editors and readers.

use std::process::ExitCode;

use millrace_runtime::project;

use crate::args::Schema;
use crate::project::Project;

pub(crate) fn execute(args: &Schema) -> anyhow::Result<ExitCode> {
    if args.reference {
        print!("{}", project::reference::<Project>());
    } else {
        println!("{}", serde_json::to_string_pretty(&project::json_schema::<Project>())?);
    }
    Ok(ExitCode::SUCCESS)
}
