//! The order in which pipelines can be typed: each after those that write what it reads.

use std::collections::{BTreeMap, BTreeSet};

/// A pipeline's topics: what it reads and what it writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends<'a> {
    pub(super) reads: Option<&'a str>,
    pub(super) writes: Option<&'a str>,
}

/// The pipelines by number, those that write a topic before those that read it; and those that are in a cycle.
pub(super) fn order(pipelines: &[Ends<'_>]) -> (Vec<usize>, Vec<usize>) {
    let mut order = Vec::with_capacity(pipelines.len());
    let mut left: BTreeSet<usize> = (0..pipelines.len()).collect();
    loop {
        let open: BTreeSet<&str> = left.iter().filter_map(|&pipeline| pipelines[pipeline].writes).collect();
        let is_ready = |pipeline: &usize| pipelines[*pipeline].reads.is_none_or(|topic| !open.contains(topic));
        let ready: Vec<usize> = left.iter().copied().filter(is_ready).collect();
        if ready.is_empty() {
            let cyclic = left.iter().copied().filter(|&pipeline| reaches_itself(pipelines, pipeline)).collect();
            return (order, cyclic);
        }
        left.retain(|pipeline| !ready.contains(pipeline));
        order.extend(ready);
    }
}

fn reaches_itself(pipelines: &[Ends<'_>], start: usize) -> bool {
    let mut next_topics: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for ends in pipelines {
        if let (Some(reads), Some(writes)) = (ends.reads, ends.writes) {
            next_topics.entry(reads).or_default().push(writes);
        }
    }
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = pipelines[start].writes.into_iter().collect();
    while let Some(topic) = open.pop() {
        if seen.insert(topic) {
            open.extend(next_topics.get(topic).into_iter().flatten());
        }
    }
    pipelines[start].reads.is_some_and(|topic| seen.contains(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(pipelines: &[(&'static str, &'static str)]) -> Vec<Ends<'static>> {
        let topic = |name: &'static str| (!name.is_empty()).then_some(name);
        pipelines.iter().map(|&(reads, writes)| Ends { reads: topic(reads), writes: topic(writes) }).collect()
    }

    #[test]
    fn writers_come_before_readers() {
        assert_eq!(order(&ends(&[("b", ""), ("a", "b"), ("", "a")])), (vec![2, 1, 0], vec![]));
    }

    #[test]
    fn a_cycle_is_found_and_what_follows_it_is_not_in_it() {
        assert_eq!(order(&ends(&[("a", "b"), ("b", "a"), ("b", "c"), ("", "d")])), (vec![3], vec![0, 1]));
        assert_eq!(order(&ends(&[("a", "a")])), (vec![], vec![0]));
    }
}
