//! Object stores: S3, Azure Blob Storage, Google Cloud Storage, HTTP servers.

mod config;
mod fault;
mod guarded;
mod open;
mod url;

pub use config::{AzureBlob, Gcs, HttpServer, ObjectStoreConfig, S3};
pub(crate) use fault::{fault, told};
pub(crate) use guarded::link;
pub(crate) use open::{open, open_by};
pub(crate) use url::{Scheme, StoreUrl};
