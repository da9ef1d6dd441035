//! What the suite asks of a hop.

use async_trait::async_trait;
use millrace_tests::{Project, Service};

/// A hop with its project, to which more and more comes while its service dies again and again.
#[async_trait]
pub(crate) trait Hop: Send {
    fn project(&self) -> &Project;

    /// The service that dies.
    fn service(&self) -> &'static str;

    /// A life of the service begins.
    async fn life(&mut self) {}

    /// Gives the service more to do; it may die over it.
    async fn feed(&mut self, service: &Service);

    /// What is not as it must be; nothing when all that came is there, once.
    async fn difference(&mut self) -> Option<String>;
}

/// What two sorted lists have not in common, in words; nothing when they are the same.
pub(crate) fn difference(what: &str, mut there: Vec<String>, mut expected: Vec<String>) -> Option<String> {
    there.sort_unstable();
    expected.sort_unstable();
    if there == expected {
        return None;
    }
    let count = |list: &[String], one: &String| list.iter().filter(|other| *other == one).count();
    let more: Vec<&String> = there.iter().filter(|one| count(&there, one) > count(&expected, one)).take(5).collect();
    let fewer: Vec<&String> = expected.iter().filter(|one| count(&there, one) < count(&expected, one)).take(5).collect();
    Some(format!("{what}: {} where {} should be; too often {more:?}, too seldom {fewer:?}", there.len(), expected.len()))
}
