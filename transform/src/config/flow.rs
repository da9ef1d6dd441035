//! A transform pipeline in the typed flow.

use std::time::Duration;

use millrace_model::{Code, Schema};
use millrace_runtime::project::flow::{self, Context, Problem, Types};
use millrace_runtime::project::{Delivery, Kind, Latency, OnError, Output};

use super::{Pipeline, StepConfig};
use crate::steps::{StepError, compile, doubtful};

/// Well below the time after which Kafka aborts a transaction whose producer it takes for dead.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(10);

impl<C> flow::Pipeline<C> for Pipeline {
    fn input(&self) -> Option<&str> {
        Some(&self.from)
    }

    fn output(&self) -> Option<&Output> {
        Some(&self.to)
    }

    fn dead_letters(&self) -> &str {
        &self.dead_letters.topic
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn types(&self, _: &Context<'_, C>, input: Option<&Schema>) -> Types {
        let Some(input) = input else { return Types::default() };
        if self.delivery == Delivery::ExactlyOnce && self.commit_interval(Latency::default()) > LONGEST_TRANSACTION {
            let message = format!("transactions last {LONGEST_TRANSACTION:?} at most: Kafka aborts those that take longer");
            let problem = Problem::error(Code::ProjectFlow, &["commit_interval"], message).kind(Kind::Settings);
            return problem.expected(format!("at most {LONGEST_TRANSACTION:?}")).into();
        }
        match compile(&self.steps, input) {
            Ok(steps) => {
                let doubtful = doubtful(&self.steps, &steps, input).into_iter();
                let problems = doubtful.map(|error| problem(&self.steps, error)).collect();
                Types { output: Some(steps.last().map_or(input, |step| step.output()).clone()), problems, ..Types::default() }
            }
            Err(error) => problem(&self.steps, error).into(),
        }
    }
}

fn problem(steps: &[StepConfig], error: StepError) -> Problem {
    let StepError { step, rule, code, kind: sort, message, place, suggestion } = error;
    let kind = steps.get(step).map_or("", StepConfig::kind);
    let mut at = vec!["steps".to_owned(), step.to_string(), kind.to_owned()];
    if let Some(rule) = rule {
        at.extend(["rules".to_owned(), rule.to_string()]);
        at.extend(rule_kind(steps, step, rule).map(str::to_owned));
    }
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Problem::error(code, &at, message).kind(sort).suggestion(suggestion).inside(place.map(|(line, column)| (number(line), number(column))))
}

fn rule_kind(steps: &[StepConfig], step: usize, rule: usize) -> Option<&'static str> {
    match steps.get(step)? {
        StepConfig::Validate { rules } => rules.get(rule).map(super::Rule::kind),
        StepConfig::Sql(_) | StepConfig::Filter(_) => None,
    }
}
