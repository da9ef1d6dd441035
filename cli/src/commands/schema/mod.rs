//! `millrace schema`: the schemas of records, and that of the project file.

mod diff;
mod pull;

use std::path::Path;
use std::process::ExitCode;

use millrace_provision::editor;
use millrace_provision::infer::{Sample, infer};
use millrace_runtime::project;

use crate::args::{Editor, InferSchema, ProjectSchema, Schema, SchemaCommand};
use crate::output::{out, outln};
use crate::project::{Project, folder};

pub(crate) use pull::drift;

pub(crate) async fn execute(args: &Schema) -> anyhow::Result<ExitCode> {
    match &args.command {
        SchemaCommand::Project(args) => of_project(args),
        SchemaCommand::Infer(args) => of_sample(args),
        SchemaCommand::Diff(args) => diff::execute(args).await,
        SchemaCommand::Pull(args) => pull::execute(args).await,
    }
}

/// The project file's own schema, printed or told to an editor.
fn of_project(args: &ProjectSchema) -> anyhow::Result<ExitCode> {
    let schema = || serde_json::to_value(project::json_schema::<Project>());
    match args.editor {
        _ if args.reference => out!("{}", project::reference::<Project>()),
        None => outln!("{:#}", schema()?),
        Some(Editor::Vscode) => written(&editor::vscode(&folder(&args.project), &schema()?)?),
        Some(Editor::Modeline) => written(&editor::modeline(&folder(&args.project), &schema()?)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn written(files: &[impl AsRef<Path>]) {
    files.iter().for_each(|file| outln!("wrote {}", file.as_ref().display()));
}

fn of_sample(args: &InferSchema) -> anyhow::Result<ExitCode> {
    let InferSchema { file, format, name, records, null } = args;
    let sample = Sample { format: *format, name: name.clone(), records: *records, nulls: null.clone() };
    outln!("{:#}", infer(file, &sample)?);
    Ok(ExitCode::SUCCESS)
}
