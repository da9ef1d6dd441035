//! Where a load of a whole table begins and ends.

use std::sync::Arc;

use crate::batch::Origin;

/// Which end of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edge {
    /// What came before it in its partition and belongs to no load that has ended is void.
    Begin,
    /// The load has all of its rows of this partition.
    End,
}

/// That a load begins or ends in one partition.
#[derive(Debug, Clone)]
pub struct LoadBound {
    /// Which end it is.
    pub edge: Edge,
    /// The load's name: the same in all partitions, and another one for each load.
    pub load: Arc<str>,
    /// The one record that says so.
    pub origin: Origin,
    /// How many partitions the topic has: the load is whole when it has ended in all of them.
    pub partitions: i32,
}
