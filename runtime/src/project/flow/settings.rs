//! What can be wrong with the settings of pipelines before their schemas are looked at.

use std::collections::{BTreeMap, BTreeSet};

use millrace_model::Code;

use super::check::{Checker, Named, error};
use super::order::Ends;
use super::{Claim, Problem, Sharing, names};
use crate::project::finding::Finding;
use crate::project::kind::Kind;
use crate::project::sections::Delivery;

impl<C> Checker<'_, C> {
    /// Looks at the settings of every pipeline.
    pub(super) fn settings(&mut self, pipelines: &[Named<'_, C>]) {
        self.project_name();
        for named in pipelines {
            self.pipeline_settings(named);
        }
        self.unique_names(pipelines);
        self.claims(pipelines);
        self.dead_letters(pipelines);
        self.parking(pipelines);
    }

    fn project_name(&mut self) {
        if let Some(fault) = names::name_fault(self.shared.name) {
            let message = format!("the project's name `{}` {fault}", self.shared.name);
            let place = self.document.locate(["name"]);
            self.findings.push(Finding::error(Code::ProjectFlow, message).kind(Kind::BadName).help("set `name:`".to_owned()).at(place));
        }
    }

    fn pipeline_settings(&mut self, named: &Named<'_, C>) {
        if let Some(fault) = names::name_fault(named.name) {
            self.problem(named, error(&[], format!("the pipeline's name `{}` {fault}", named.name)).kind(Kind::BadName));
        }
        if let Some(output) = named.pipeline.output() {
            self.topic_name(&output.topic, &[named.section, named.name, "to", "topic"]);
        }
        self.topic_name(named.pipeline.dead_letters(), &[named.section, named.name, "dead_letters"]);
        if named.pipeline.delivery() == Delivery::AtLeastOnce {
            let message = "records may be written again after a crash";
            let problem = Problem::warning(Code::ProjectAdvice, &["delivery"], message).kind(Kind::Delivery);
            self.problem(named, problem.help("leave `delivery` out unless the broker has no transactions".to_owned()));
        }
    }

    fn unique_names(&mut self, pipelines: &[Named<'_, C>]) {
        let mut seen: BTreeMap<&str, &'static str> = BTreeMap::new();
        for named in pipelines {
            if let Some(section) = seen.insert(named.name, named.section) {
                let problem = error(&[], format!("there is a pipeline `{}` under `{section}` too", named.name)).kind(Kind::NameTaken);
                let help = "consumer groups and transactions are named after pipelines: give each a name of its own";
                self.problem(named, problem.help(help.to_owned()));
            }
        }
    }

    /// Each claim is compared with the first one of the same thing.
    fn claims(&mut self, pipelines: &[Named<'_, C>]) {
        let mut owners: BTreeMap<String, (&str, Sharing)> = BTreeMap::new();
        for named in pipelines {
            for Claim { what, at, sharing } in named.pipeline.claims(&self.context(named)) {
                match owners.get(&what) {
                    Some((owner, theirs)) => self.problem(named, shared(&what, owner, &at, &sharing, theirs)),
                    None => drop(owners.insert(what, (named.name, sharing))),
                }
            }
        }
    }

    pub(super) fn cycle(&mut self, named: &Named<'_, C>) {
        let input = named.pipeline.input().unwrap_or_default();
        let message = format!("what `{}` writes comes back to it through `{input}`", named.name);
        let help = "records would go round for ever; write to another topic".to_owned();
        self.problem(named, error(&["from"], message).kind(Kind::Cycle).help(help));
    }

    /// Dead letters hold the bytes of many schemas: no pipeline's data may be among them.
    fn dead_letters(&mut self, pipelines: &[Named<'_, C>]) {
        let ends = pipelines.iter().map(Named::ends);
        let data: BTreeSet<&str> = ends.flat_map(|ends| [ends.reads, ends.writes]).flatten().collect();
        for named in pipelines.iter().filter(|named| data.contains(named.pipeline.dead_letters())) {
            self.problem(named, misplaced_dead_letters(named.pipeline.dead_letters(), named.ends()));
        }
    }
}

fn misplaced_dead_letters(topic: &str, ends: Ends<'_>) -> Problem {
    let at: &[&str] = &["dead_letters"];
    let problem = if ends.reads == Some(topic) {
        error(at, format!("the pipeline reads its own dead letters from `{topic}`"))
            .help("a record that fails would fail for ever: name another topic".to_owned())
    } else if ends.writes == Some(topic) {
        error(at, format!("the pipeline writes both its records and its dead letters to `{topic}`")).help("name another topic".to_owned())
    } else {
        error(at, format!("`{topic}` is a topic of pipelines, dead letters need one of their own")).help("name another topic".to_owned())
    };
    problem.kind(Kind::DeadLetterTopic)
}

/// That `what` has an owner already.
fn shared(what: &str, owner: &str, at: &[String], ours: &Sharing, theirs: &Sharing) -> Problem {
    match (ours, theirs) {
        (Sharing::Never(reason), _) | (_, Sharing::Never(reason)) => {
            let problem = Problem::error(Code::ProjectFlow, at, format!("{what} belongs to the pipeline `{owner}`"));
            problem.kind(Kind::NameTaken).help(reason.clone())
        }
        (Sharing::Known(reason), Sharing::Known(_)) => {
            let problem = Problem::warning(Code::ProjectAdvice, at, format!("the pipeline `{owner}` has {what} too"));
            problem.kind(Kind::TwoWriters).help(reason.clone())
        }
    }
}
