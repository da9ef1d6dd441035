//! What can be wrong with the settings of pipelines before their schemas are looked at.

use std::collections::{BTreeMap, BTreeSet};

use millrace_model::Code;

use super::check::{Checker, Named};
use super::{Problem, names};
use crate::project::findings::Finding;
use crate::project::sections::Delivery;

impl<C> Checker<'_, C> {
    /// Looks at the settings of every pipeline.
    pub(super) fn settings(&mut self, pipelines: &[Named<'_, C>]) {
        self.project_name();
        for named in pipelines {
            self.pipeline_settings(named);
        }
        self.unique_names(pipelines);
        self.exclusives(pipelines);
        self.dead_letters(pipelines);
    }

    fn project_name(&mut self) {
        if let Some(fault) = names::name_fault(self.shared.name) {
            let message = format!("the project's name `{}` {fault}", self.shared.name);
            let place = self.document.locate(["name"]);
            self.findings.push(Finding::error(Code::ProjectFlow, message).help("set `name:`".to_owned()).at(place));
        }
    }

    fn pipeline_settings(&mut self, named: &Named<'_, C>) {
        if let Some(fault) = names::name_fault(named.name) {
            self.error(named, &[], format!("the pipeline's name `{}` {fault}", named.name), None);
        }
        if let Some(output) = named.pipeline.output() {
            self.topic_name(&output.topic, &[named.section, named.name, "to", "topic"]);
        }
        self.topic_name(named.pipeline.dead_letters(), &[named.section, named.name, "dead_letters"]);
        if named.pipeline.delivery() == Delivery::AtLeastOnce {
            let message = "records may be written again after a crash";
            let problem = Problem::warning(Code::ProjectAdvice, &["delivery"], message);
            self.problem(named, problem.help("leave `delivery` out unless the broker has no transactions".to_owned()));
        }
    }

    fn unique_names(&mut self, pipelines: &[Named<'_, C>]) {
        let mut seen: BTreeMap<&str, &'static str> = BTreeMap::new();
        for named in pipelines {
            if let Some(section) = seen.insert(named.name, named.section) {
                let message = format!("there is a pipeline `{}` under `{section}` too", named.name);
                let help = "consumer groups and transactions are named after pipelines: give each a name of its own";
                self.error(named, &[], message, Some(help.into()));
            }
        }
    }

    fn exclusives(&mut self, pipelines: &[Named<'_, C>]) {
        let mut owners: BTreeMap<String, &str> = BTreeMap::new();
        for named in pipelines {
            let Some((what, at)) = named.pipeline.exclusive() else { continue };
            if let Some(owner) = owners.get(&what) {
                let problem = Problem::error(Code::ProjectFlow, &at, format!("{what} belongs to the pipeline `{owner}`"));
                self.problem(named, problem);
            } else {
                owners.insert(what, named.name);
            }
        }
    }

    pub(super) fn cycle(&mut self, named: &Named<'_, C>) {
        let input = named.pipeline.input().unwrap_or_default();
        let message = format!("what `{}` writes comes back to it through `{input}`", named.name);
        self.error(named, &["from"], message, Some("records would go round for ever; write to another topic".into()));
    }

    /// Dead letters hold the bytes of many schemas: no pipeline's data may be among them.
    fn dead_letters(&mut self, pipelines: &[Named<'_, C>]) {
        let ends = pipelines.iter().map(Named::ends);
        let data: BTreeSet<&str> = ends.flat_map(|ends| [ends.reads, ends.writes]).flatten().collect();
        for named in pipelines.iter().filter(|named| data.contains(named.pipeline.dead_letters())) {
            let message = format!("`{}` is a topic of pipelines, dead letters need one of their own", named.pipeline.dead_letters());
            self.error(named, &["dead_letters"], message, None);
        }
    }
}
