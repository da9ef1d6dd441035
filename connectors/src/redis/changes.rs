//! What a round does to each key: the steps of the round, folded. Decides; does nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::staged::{Rows, Staged};

/// A row of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the step.
    pub(super) step: usize,
    pub(super) row: usize,
}

/// What a round does to one key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Where the key is.
    at: Place,
    /// Whether the row that was there goes first.
    pub(super) deletes: bool,
    /// The last row that came whole.
    pub(super) row: Option<Place>,
    /// What came after it and lacks columns, in its order.
    pub(super) patches: Vec<Place>,
}

/// What a round does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Whether all rows that were there go first.
    pub(super) clears: bool,
    /// To each key, in the order in which they first came.
    pub(super) of_keys: Vec<Change>,
}

impl Change {
    /// The key.
    pub(super) fn key<'a>(&self, steps: &'a [Staged]) -> &'a [u8] {
        steps[self.at.step].keys().map_or(&[], |keys| keys.keys.value(self.at.row))
    }

    /// Whether there is a row in the end.
    pub(super) fn writes(&self) -> bool {
        self.row.is_some() || !self.patches.is_empty()
    }

    /// The rows that come, in their order.
    pub(super) fn places(&self) -> impl DoubleEndedIterator<Item = Place> {
        self.row.into_iter().chain(self.patches.iter().copied())
    }

    /// Whether what is there already matters to what will be.
    pub(super) fn patches(&self) -> bool {
        self.row.is_none() && !self.deletes && !self.patches.is_empty()
    }

    fn delete(&mut self) {
        (self.deletes, self.row) = (true, None);
        self.patches.clear();
    }

    fn write(&mut self, place: Place, is_whole: bool) {
        if is_whole {
            self.row = Some(place);
            self.patches.clear();
        } else {
            self.patches.push(place);
        }
    }
}

/// Folds the steps of a round: of each key the last row counts, or the first where that one stays.
pub(super) fn fold(steps: &[Staged], first_stays: bool) -> Changes {
    let mut folded = Folded { changes: Changes::default(), places: HashMap::new(), first_stays };
    for (step, staged) in steps.iter().enumerate() {
        match staged {
            Staged::Rows(rows) => folded.rows(step, rows),
            Staged::Deletions(keys) => {
                for (row, key) in keys.keys.iter().flatten().enumerate() {
                    folded.change(key, Place { step, row }).delete();
                }
            }
            Staged::Clear => {
                folded.places.clear();
                folded.changes = Changes { clears: true, of_keys: Vec::new() };
            }
        }
    }
    folded.changes
}

struct Folded<'a> {
    changes: Changes,
    /// The number of each key's change.
    places: HashMap<&'a [u8], usize>,
    first_stays: bool,
}

impl<'a> Folded<'a> {
    fn rows(&mut self, step: usize, rows: &'a Rows) {
        let first_stays = self.first_stays;
        for (row, key) in rows.keys.keys.iter().flatten().enumerate() {
            let place = Place { step, row };
            let change = self.change(key, place);
            if !(first_stays && change.writes()) {
                change.write(place, rows.is_whole);
            }
        }
    }

    fn change(&mut self, key: &'a [u8], at: Place) -> &mut Change {
        let Changes { clears, of_keys } = &mut self.changes;
        let number = match self.places.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                of_keys.push(Change { at, deletes: *clears, row: None, patches: Vec::new() });
                *new.insert(of_keys.len() - 1)
            }
        };
        &mut of_keys[number]
    }
}
