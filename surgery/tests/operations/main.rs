//! Letters in a development broker, replayed into topics and a table of this machine.

mod chosen;
mod parked;
mod parked_mirror;
mod replayed;
mod world;
