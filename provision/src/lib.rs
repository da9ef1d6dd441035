//! What a project needs of its servers, and what they have.
//!
//! Facts in ([`facts`]), differences ([`differences`]) and a plan ([`plan`]) out of them, both pure, and effects last ([`apply`]).
//! One set of differences serves `millrace check --connected`, which shows them as findings, and `millrace apply`, which
//! mends them. Beside them: the schemas of records, inferred ([`infer`]), compared ([`compare`]) and pulled ([`pull`]).

pub mod apply;
pub mod compare;
pub mod destroy;
pub mod differences;
pub mod editor;
pub mod facts;
mod findings;
pub mod infer;
pub mod plan;
pub mod pull;
mod show;
mod wanted;
mod words;

pub use destroy::{Destroy, Doomed};
pub use differences::{Difference, differences};
pub use facts::Facts;
pub use findings::{finding, unanswered};
pub use plan::{Options, Plan, plan};
pub use wanted::{Path, Wanted, WantedGroup, WantedSubject, WantedTable, WantedTopic, WantedTransactions};
