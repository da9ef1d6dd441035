//! Which fault comes next.

use std::iter::repeat_n;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::faults::{Fault, Part};
use crate::world::World;

/// The faults as cards that are drawn one by one, and shuffled anew when there are none left. What is over soon has more cards.
pub(crate) struct Deck {
    faults: Vec<Box<dyn Fault>>,
    order: Vec<usize>,
    pub(crate) random: SmallRng,
}

impl Deck {
    pub(crate) fn new(seed: u64, faults: Vec<Box<dyn Fault>>) -> Self {
        Self { faults, order: Vec::new(), random: SmallRng::seed_from_u64(seed) }
    }

    /// The next fault that is possible, hits none of these parts and is over within `left`; `None` where there is none. Those that are passed over come later.
    pub(crate) fn draw(&mut self, world: &World, busy: &[Part], left: Duration) -> Option<&dyn Fault> {
        if self.order.is_empty() {
            self.shuffle();
        }
        let fits = |place: usize| {
            let fault = &self.faults[place];
            fault.longest() <= left && fault.possible(world).is_ok() && !fault.hits().iter().any(|part| busy.contains(part))
        };
        let card = self.order.iter().rposition(|place| fits(*place));
        // What is left may be such as does not fit now; it is not left lying while others come again.
        let place = match card {
            Some(card) => self.order.remove(card),
            None => (0..self.faults.len()).filter(|place| fits(*place)).nth(self.random.random_range(0..self.faults.len()))?,
        };
        Some(&*self.faults[place])
    }

    /// In an order of chance, the cards of each fault.
    fn shuffle(&mut self) {
        self.order = (0..self.faults.len()).flat_map(|place| repeat_n(place, self.faults[place].share())).collect();
        self.order.shuffle(&mut self.random);
    }
}
