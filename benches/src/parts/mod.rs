//! What a job runs in a process of its own, so that its account is its own: references, generators of load. A new one is a file
//! and a line of [`PARTS`].

pub(crate) mod parse;
pub(crate) mod pass_through;
pub(crate) mod post;
pub(crate) mod produce;
pub(crate) mod sqlite_loop;

use anyhow::Context;

/// A part.
#[derive(Debug)]
pub(crate) struct Part {
    /// What it is called: `millrace-benches part NAME`.
    pub(crate) name: &'static str,
    /// Runs it with the arguments that follow its name.
    pub(crate) run: fn(&[String]) -> anyhow::Result<()>,
}

const PARTS: &[Part] = &[pass_through::PART, produce::PART, parse::PART, post::PART, sqlite_loop::PART];

/// Runs the part of that name.
pub(crate) fn run(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    let part = PARTS.iter().find(|part| part.name == name).with_context(|| format!("there is no part {name}"))?;
    (part.run)(arguments)
}
