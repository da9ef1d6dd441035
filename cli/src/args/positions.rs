//! `millrace positions`.

use clap::{Args, Subcommand, ValueEnum};

use super::Project;

#[derive(Debug, Args)]
pub(crate) struct Positions {
    #[command(subcommand)]
    pub(crate) command: PositionsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PositionsCommand {
    /// Accept what a pipeline halted for (MR0208: retention took records that it had not read; MR0209: its topic was made anew). Positions
    /// that the topic has records for stay as they are.
    Accept(Accept),
}

#[derive(Debug, Args)]
pub(crate) struct Accept {
    /// The transform or load, such as `orders_table` or, as faults name it, `shop.orders_table`.
    pub(crate) pipeline: String,
    /// Where it goes on.
    #[arg(long, value_enum, default_value_t = Onset::Beginning)]
    pub(crate) from: Onset,
    #[command(flatten)]
    pub(crate) project: Project,
}

/// Where a pipeline goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Onset {
    /// With the first record that the topic has.
    Beginning,
    /// With what comes from now on.
    End,
}
