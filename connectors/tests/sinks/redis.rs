//! Redis: the server that `MILLRACE_TEST_REDIS` names, and what only its sink must do.

mod durability;
mod keys;
mod rights;
mod server;
mod store;

pub(crate) use server::Server;
pub(crate) use store::Redis;
