//! Letters in a development broker, replayed into topics and a table of this machine.

mod chosen;
mod replayed;
mod world;
