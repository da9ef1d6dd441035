//! `millrace dead-letters`: what could not be processed, and why.

use std::process::ExitCode;

use anyhow::{Context, bail};
use millrace_runtime::dead_letters::{self, DeadLetter};
use millrace_runtime::inspect::Inspector;
use serde_json::json;

use crate::args::{DeadLetters, DeadLettersCommand, Project};
use crate::project::Loaded;
use crate::table::table;

pub(crate) async fn execute(args: &DeadLetters) -> anyhow::Result<ExitCode> {
    match &args.command {
        DeadLettersCommand::List { project, pipeline, json } => list(project, pipeline.as_deref(), *json).await?,
        DeadLettersCommand::Show { id, project } => show(project, id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(project: &Project, pipeline: Option<&str>, as_json: bool) -> anyhow::Result<()> {
    let loaded = Loaded::open(project)?;
    let wanted = pipeline.map(|pipeline| loaded.pipeline_id(pipeline));
    let mut letters = read(&loaded).await?;
    letters.retain(|(_, letter)| wanted.as_ref().is_none_or(|wanted| letter.said("pipeline") == *wanted));
    if as_json {
        letters.iter().for_each(|(topic, letter)| println!("{}", facts(topic, letter)));
    } else if letters.is_empty() {
        println!("No dead letters.");
    } else {
        println!("{}", listing(&letters));
        println!("{} dead letters. `millrace dead-letters show ID` prints one wholly.", letters.len());
    }
    Ok(())
}

/// The dead letters of every dead-letter topic of the project, each with its topic.
async fn read(loaded: &Loaded) -> anyhow::Result<Vec<(String, DeadLetter)>> {
    let cluster = loaded.cluster("reader");
    let existing = millrace_runtime::kafka::topics::list(&cluster).await?;
    let mut letters = Vec::new();
    for topic in loaded.dead_letter_topics() {
        if existing.iter().any(|existing| existing.name == topic) {
            letters.extend(dead_letters::read(&cluster, &topic).await?.into_iter().map(|letter| (topic.clone(), letter)));
        }
    }
    Ok(letters)
}

fn listing(letters: &[(String, DeadLetter)]) -> comfy_table::Table {
    let mut table = table(["id", "pipeline", "record", "stage", "code", "why"]);
    for (_, letter) in letters {
        let record = format!("{}-{}:{}", letter.said("topic"), letter.said("partition"), letter.said("offset"));
        table.add_row([&id(letter), letter.said("pipeline"), &record, letter.said("stage"), letter.said("code"), letter.said("message")]);
    }
    table
}

fn id(letter: &DeadLetter) -> String {
    format!("{}:{}", letter.place.partition, letter.place.offset)
}

fn facts(topic: &str, letter: &DeadLetter) -> serde_json::Value {
    let said = |name: &str| letter.said(name).to_owned();
    json!({
        "id": id(letter), "dead_letter_topic": topic, "pipeline": said("pipeline"), "stage": said("stage"), "code": said("code"),
        "message": said("message"), "topic": said("topic"), "partition": said("partition"), "offset": said("offset"), "at": said("at"),
    })
}

async fn show(project: &Project, wanted: &str) -> anyhow::Result<()> {
    let loaded = Loaded::open(project)?;
    let letters = read(&loaded).await?;
    let Some((topic, letter)) = letters.iter().find(|(_, letter)| id(letter) == wanted) else {
        bail!("there is no dead letter {wanted}; `millrace dead-letters list` prints those there are");
    };
    let inspector = Inspector::new(loaded.registry()?);
    let value = inspector.render(letter.value.as_deref()).await.context("reading the value")?;
    println!("dead letter {wanted} of {topic}");
    for name in ["pipeline", "stage", "code", "message", "topic", "partition", "offset", "at"] {
        println!("  {name:<10} {}", letter.said(name));
    }
    if let Ok(code) = letter.said("code").parse::<millrace_model::Code>() {
        println!("  {:<10} {}", "what to do", code.help());
    }
    println!("  {:<10} {}", "key", inspector.render(letter.key.as_deref()).await?);
    println!("  {:<10} {value}", "value");
    Ok(())
}
