//! A run, as it is kept in `benches/results`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::figure::Figure;
use super::machine::{Commit, Machine};
use super::median::medians;
use super::table::plain;
use crate::measured::Measured;

/// A run: where and when, and the figures of every round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunFile {
    pub(crate) started: Timestamp,
    #[serde(flatten)]
    pub(crate) commit: Commit,
    pub(crate) machine: Machine,
    /// How many records each job had.
    pub(crate) records: u64,
    /// The round that figures are added of.
    #[serde(skip)]
    pub(crate) round: u32,
    pub(crate) figures: Vec<Figure>,
}

impl RunFile {
    /// A run that begins now, here.
    pub(crate) fn start(records: u64) -> Self {
        let (commit, machine) = (Commit::here(), Machine::here());
        Self { started: Timestamp::now(), commit, machine, records, round: 1, figures: Vec::new() }
    }

    /// Adds a figure, and prints it as a line of JSON.
    pub(crate) fn add(&mut self, figure: Figure) {
        let figure = Figure { round: self.round, ..figure };
        println!("{}", serde_json::to_string(&figure).expect("a figure is JSON"));
        self.figures.push(figure);
    }

    /// What a program was measured to do in a job of this round.
    pub(crate) fn measured(&self, job: &str, who: &str) -> Option<Measured> {
        let same = |figure: &&Figure| figure.job == job && figure.who == who && figure.round == self.round;
        self.figures.iter().find(same).map(|figure| figure.measured)
    }

    /// A figure for every job and program: of several rounds the medians.
    pub(crate) fn medians(&self) -> Vec<Figure> {
        medians(&self.figures)
    }

    /// The figures for people at a terminal.
    pub(crate) fn table(&self) -> String {
        plain(&self.medians())
    }

    /// Writes the run into the folder; gives the file.
    pub(crate) fn keep(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let file = folder.join(format!("{}-{}.json", self.started.strftime("%Y%m%dT%H%M%SZ"), self.commit.commit));
        fs::write(&file, serde_json::to_string_pretty(self)? + "\n").with_context(|| format!("can't write {}", file.display()))?;
        Ok(file)
    }

    /// A run that was kept.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no file of results", file.display()))
    }
}
