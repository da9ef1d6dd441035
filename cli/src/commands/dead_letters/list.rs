//! A line for each letter.

use millrace_runtime::dead_letters::{How, Resolution};
use millrace_surgery::id::Names;
use millrace_surgery::letters::Letter;
use serde_json::{Value, json};

use super::{chosen, count, plain};
use crate::args::{Filter, Project, Settled};
use crate::output::outln;
use crate::project::Loaded;
use crate::table::table;

pub(super) async fn execute(project: &Project, filter: &Filter, settled: &Settled, as_json: bool) -> anyhow::Result<()> {
    let loaded = Loaded::open(project)?;
    let mut letters = chosen::filtered(&loaded, &loaded.theatre()?, filter).await?;
    let names = Names::among(letters.iter().map(|letter| &letter.letter));
    letters.retain(|letter| settled.means(letter));
    if as_json {
        letters.iter().for_each(|letter| outln!("{}", facts(letter, names)));
    } else if letters.is_empty() {
        outln!("No dead letters.");
    } else {
        outln!("{}", listing(&letters, names, settled));
        outln!("{}. `millrace dead-letters show ID` prints one wholly.", count(letters.len()));
    }
    Ok(())
}

fn listing(letters: &[Letter], names: Names, settled: &Settled) -> comfy_table::Table {
    let with_marks = settled.all || settled.resolved;
    let mut header = vec!["id", "pipeline", "record", "stage", "code", "why"];
    let is_waited_for = letters.iter().any(|letter| letter.behind > 0);
    header.extend(is_waited_for.then_some("behind it"));
    header.extend(with_marks.then_some("settled"));
    let mut table = table(header);
    for Letter { letter, resolution, behind } in letters {
        let said = |name: &str| plain(letter.said(name));
        let record = format!("{}-{}:{}", said("topic"), said("partition"), said("offset"));
        let mut row = vec![names.of(letter), said("pipeline"), record, said("stage"), said("code"), said("message")];
        row.extend(is_waited_for.then(|| behind.to_string()));
        row.extend(with_marks.then(|| resolution.as_ref().map(told).unwrap_or_default()));
        table.add_row(row);
    }
    table
}

/// A mark in words.
pub(super) fn told(resolution: &Resolution) -> String {
    let Resolution { how, at, by, reason, to, rejected_at: _ } = resolution;
    let how = match how {
        How::Replayed => format!("replayed to {to}"),
        How::Discarded => "discarded".to_owned(),
    };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    plain(&format!("{how} by {by} at {at:.0}{reason}"))
}

fn facts(letter: &Letter, names: Names) -> Value {
    let Letter { letter, resolution, behind } = letter;
    let said = |name: &str| letter.said(name).to_owned();
    let mut facts = json!({
        "id": names.of(letter), "dead_letter_topic": letter.place.topic, "pipeline": said("pipeline"), "stage": said("stage"),
        "code": said("code"), "message": said("message"), "topic": said("topic"), "partition": said("partition"),
        "offset": said("offset"), "at": letter.at().map(|at| at.to_string()), "behind": behind,
    });
    if let Some(resolution) = resolution {
        facts["resolved"] = json!(resolution);
    }
    facts
}
