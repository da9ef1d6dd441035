//! Records on their way again.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use indicatif::ProgressBar;
use millrace_runtime::dead_letters::DeadLetter;
use millrace_surgery::id::Names;
use millrace_surgery::letters::{self, Letter};
use millrace_surgery::patch::Patch;
use millrace_surgery::replay::{self, Orders, Outcome, Rehearsed, Way};
use millrace_surgery::{Theatre, import};
use serde_json::{Value, json};

use super::{chosen, list, plain};
use crate::args::Replay;
use crate::output::outln;
use crate::project::Loaded;

pub(super) async fn execute(args: &Replay) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::open(&args.project)?;
    let theatre = loaded.theatre()?;
    let orders = orders(args, &loaded)?;
    let all = read(args, &loaded, &theatre).await?;
    let names = Names::among(all.iter().map(|letter| &letter.letter));
    let letters = wanted(args, &loaded, &theatre, all).await?;
    let mut told = Told { names, json: args.json, counts: BTreeMap::new(), failed: false };
    if args.dry_run {
        let rehearsed = replay::rehearse(&theatre, chosen::dead(letters), &orders).await?;
        rehearsed.iter().for_each(|(letter, rehearsed)| told.rehearsed(letter, rehearsed));
        return Ok(told.end("would be "));
    }
    let progress = progress(args, letters.len());
    let replayed = replay::replay(&theatre, chosen::dead(letters), &orders, |letter, outcome| {
        progress.suspend(|| told.outcome(letter, &outcome));
        progress.inc(1);
    });
    let replayed = replayed.await;
    progress.finish_and_clear();
    let code = told.end("");
    replayed.context("the replay was cut off; what is told above is durable, and the same command does the rest")?;
    Ok(code)
}

fn orders(args: &Replay, loaded: &Loaded) -> anyhow::Result<Orders> {
    let patch = match (&args.patch, &args.value) {
        (Some(patch), _) => Some(Patch::parse(patch)?),
        (None, Some(file)) => Some(Patch::Replace(fs::read(file).with_context(|| format!("can't read {}", file.display()))?)),
        (None, None) => None,
    };
    let way = match (&args.through, &args.to) {
        (Some(pipeline), _) => Way::Through(loaded.pipeline_id(pipeline)),
        (None, Some(topic)) => Way::Topic(topic.clone()),
        (None, None) => Way::Own,
    };
    Ok(Orders { by: args.by.clone(), way, patch, rate: args.rate, again: args.again, unpassed: args.unpassed })
}

async fn read(args: &Replay, loaded: &Loaded, theatre: &Theatre) -> anyhow::Result<Vec<Letter>> {
    Ok(match &args.from {
        Some(path) => letters::with_marks(&theatre.cluster, import::read(path)?).await?,
        None => letters::read(&theatre.cluster, &chosen::topics(loaded, &args.selection.filter.topics)).await?,
    })
}

/// Those that are chosen. Settled ones are left out, unless they are called by their names: then the replay says what settled them.
async fn wanted(args: &Replay, loaded: &Loaded, theatre: &Theatre, all: Vec<Letter>) -> anyhow::Result<Vec<Letter>> {
    let of_a_file = args.from.is_some() && args.selection.ids.is_empty() && args.selection.filter.condition.is_none();
    let mut letters = if of_a_file { all } else { chosen::selected(loaded, theatre, &args.selection, all).await? };
    if args.selection.ids.is_empty() && !of_a_file {
        letters.retain(|letter| args.again || letter.resolution.is_none());
    }
    Ok(letters)
}

fn progress(args: &Replay, letters: usize) -> ProgressBar {
    if args.json || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new(letters as u64) }
}

/// What the person at the terminal is told, and how often what happened.
struct Told {
    names: Names,
    json: bool,
    counts: BTreeMap<&'static str, usize>,
    failed: bool,
}

impl Told {
    fn outcome(&mut self, letter: &DeadLetter, outcome: &Outcome) {
        match outcome {
            Outcome::Replayed { to } => self.good(letter, "replayed", json!({ "to": to }), None),
            Outcome::AlreadyThere { to } => {
                self.good(letter, "found there already", json!({ "to": to }), Some(format!("was in {to} already; it is marked now")));
            }
            Outcome::Settled(mark) => {
                self.good(
                    letter,
                    "settled before",
                    json!(mark),
                    Some(format!("was {} (--again replays it all the same)", list::told(mark))),
                );
            }
            Outcome::Rejected(stage, rejection) => {
                let why = format!("rejected again at {stage}: {}: {}", rejection.code, rejection.reason);
                self.bad(
                    letter,
                    "rejected again",
                    json!({ "stage": stage.to_string(), "code": rejection.code.as_str(), "reason": rejection.reason }),
                    why,
                );
            }
            Outcome::Behind(place) => {
                self.bad(
                    letter,
                    "waiting behind one of their key",
                    json!({ "behind": place.to_string() }),
                    format!("waits behind {place}"),
                );
            }
            Outcome::Impossible(fault) => self.impossible(letter, fault),
        }
    }

    fn rehearsed(&mut self, letter: &DeadLetter, rehearsed: &Rehearsed) {
        match rehearsed {
            Rehearsed::Written { to, records } => {
                let shown: Vec<String> = records.iter().map(Value::to_string).collect();
                self.good(letter, "replayed", json!({ "to": to, "records": records }), Some(format!("→ {to}: {}", shown.join(" "))));
            }
            Rehearsed::Deleted { to } => {
                self.good(letter, "replayed", json!({ "to": to, "records": [null] }), Some(format!("→ {to}: a deletion")));
            }
            Rehearsed::Dropped => self.good(letter, "dropped by a step", json!({ "records": [] }), Some("dropped by a step".to_owned())),
            Rehearsed::Rejected(stage, rejection) => {
                let why = format!("rejected again at {stage}: {}: {}", rejection.code, rejection.reason);
                self.bad(
                    letter,
                    "rejected again",
                    json!({ "stage": stage.to_string(), "code": rejection.code.as_str(), "reason": rejection.reason }),
                    why,
                );
            }
            Rehearsed::Impossible(fault) => self.impossible(letter, fault),
        }
    }

    fn impossible(&mut self, letter: &DeadLetter, fault: &millrace_model::Fault) {
        self.bad(letter, "not replayable", json!({ "code": fault.code().as_str(), "reason": fault.message() }), fault.to_string());
    }

    fn good(&mut self, letter: &DeadLetter, what: &'static str, more: Value, why: Option<String>) {
        self.say(letter, what, more, why);
    }

    fn bad(&mut self, letter: &DeadLetter, what: &'static str, more: Value, why: String) {
        self.failed = true;
        self.say(letter, what, more, Some(why));
    }

    fn say(&mut self, letter: &DeadLetter, what: &'static str, mut more: Value, why: Option<String>) {
        *self.counts.entry(what).or_default() += 1;
        let id = self.names.of(letter);
        if self.json {
            more["id"] = id.into();
            more["outcome"] = what.into();
            outln!("{more}");
        } else if let Some(why) = why {
            outln!("{id} {}", plain(&why));
        }
    }

    /// The last line, and whether all went well.
    fn end(&self, would: &str) -> ExitCode {
        if !self.json {
            let counts: Vec<String> = self.counts.iter().map(|(what, count)| format!("{count} {would}{what}")).collect();
            outln!("{}", if counts.is_empty() { "No dead letters to replay.".to_owned() } else { counts.join(", ") + "." });
        }
        if self.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
