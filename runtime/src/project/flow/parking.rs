//! Whether keys can be parked where a pipeline wants it.

use super::Problem;
use super::check::{Checker, Named, error};
use crate::project::kind::Kind;
use crate::project::sections::{Delivery, OnError};

impl<C> Checker<'_, C> {
    /// Looks at the pipelines that park keys.
    pub(super) fn parking(&mut self, pipelines: &[Named<'_, C>]) {
        for named in pipelines.iter().filter(|named| named.pipeline.on_error() == OnError::ParkKey) {
            if let Some(problem) = self.parking_problem(named, pipelines) {
                self.problem(named, problem);
            }
        }
    }

    fn parking_problem(&self, named: &Named<'_, C>, all: &[Named<'_, C>]) -> Option<Problem> {
        let Some(topic) = named.pipeline.input() else {
            return Some(refused("what can't be read has no key yet that later records could wait for"));
        };
        if named.pipeline.delivery() == Delivery::AtLeastOnce {
            return Some(refused("records wait in the transaction of the offsets, which `delivery: at_least_once` does without"));
        }
        self.is_keyless(topic, all).then(|| refused(&format!("the records of `{topic}` are written without keys")))
    }

    /// Whether all that write the topic do it without keys. A transform that makes none keeps those of its input.
    fn is_keyless(&self, topic: &str, all: &[Named<'_, C>]) -> bool {
        let mut writers = all.iter().filter(|named| named.ends().writes == Some(topic)).peekable();
        let declared = self.shared.declared.get(topic).is_some_and(|topic| topic.key.is_some());
        let has_none =
            |named: &Named<'_, C>| named.pipeline.input().is_none() && named.pipeline.output().is_some_and(|output| output.key.is_none());
        !declared && writers.peek().is_some() && writers.all(has_none)
    }
}

fn refused(why: &str) -> Problem {
    let problem = error(&["on_error"], format!("`park_key` can't be: {why}")).kind(Kind::Settings);
    problem
        .expected("`dead_letter` or `halt`".to_owned())
        .help("leave `on_error` out: each rejected record is kept, and the others go on".to_owned())
}
