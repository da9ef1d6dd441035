//! The link that all clones of a configuration share.

use std::sync::{Arc, OnceLock};

use super::Link;

/// Made with the first use. Configurations are equal whatever is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkCell(Arc<Cell>);

#[derive(Debug, Default)]
struct Cell {
    name: OnceLock<String>,
    link: OnceLock<Link>,
}

impl LinkCell {
    /// The first name counts.
    pub(crate) fn name(&self, name: &str) {
        self.0.name.get_or_init(|| name.to_owned());
    }

    /// The link, made by `make` of its name where there is none yet.
    pub(crate) fn link(&self, make: impl FnOnce(Option<&str>) -> Link) -> &Link {
        self.0.link.get_or_init(|| make(self.0.name.get().map(String::as_str)))
    }
}

impl PartialEq for LinkCell {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
