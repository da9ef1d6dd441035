//! What the suite asks of a hop.

use std::collections::BTreeMap;

use async_trait::async_trait;
use millrace_tests::{Project, Service};

/// A hop with its project, to which more and more comes while its service dies again and again.
#[async_trait(?Send)]
pub(crate) trait Hop {
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

/// What two lists have not in common, in words and whatever their order; nothing when they are the same.
pub(crate) fn difference(what: &str, there: &[String], expected: &[String]) -> Option<String> {
    let mut surplus: BTreeMap<&str, i64> = BTreeMap::new();
    there.iter().for_each(|one| *surplus.entry(one).or_default() += 1);
    expected.iter().for_each(|one| *surplus.entry(one).or_default() -= 1);
    surplus.retain(|_, count| *count != 0);
    let some = |wrong: fn(&i64) -> bool| surplus.iter().filter(|(_, count)| wrong(count)).take(5).collect::<Vec<_>>();
    let (more, fewer) = (some(|count| *count > 0), some(|count| *count < 0));
    let told = || format!("{what}: {} where {} should be; too often {more:?}, too seldom {fewer:?}", there.len(), expected.len());
    (!surplus.is_empty()).then(told)
}

#[test]
fn what_is_lost_or_doubled_is_a_difference_and_another_order_is_none() {
    let list = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(difference("rows", &list("b a a"), &list("a a b")), None);
    assert!(difference("rows", &list("a b b"), &list("a b")).is_some_and(|told| told.contains(r#"too often [("b", 1)]"#)));
    assert!(difference("rows", &list("a"), &list("a b")).is_some_and(|told| told.contains(r#"too seldom [("b", -1)]"#)));
}
