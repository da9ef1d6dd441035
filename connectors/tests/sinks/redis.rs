//! Redis: the server that `MILLRACE_TEST_REDIS` names, and what only its sink must do.

mod durability;
mod keys;
mod rights;
mod store;

pub(crate) use store::Redis;
