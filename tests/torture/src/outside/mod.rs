//! The servers, and what stands between them and the services.

pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod links;
pub(crate) mod names;
pub(crate) mod registry;
pub(crate) mod scripts;
pub(crate) mod sockets;
