//! The push gateway: records over HTTP.
//!
//! `POST /<path>` takes JSON, Avro and CloudEvents (see [`body`]), gzip and zstd taken off. The records of one request become
//! visible together, and the answer comes once they are durable:
//!
//! | status | when |
//! |---|---|
//! | 200 | every record was accepted |
//! | 207 | some were; the answer says which were not, and why |
//! | 422 | none was |
//! | 400 | the request has no records, or is not what its headers say |
//! | 401 | the path wants an API key |
//! | 404, 405 | no pipeline has the path; the method is not POST |
//! | 408 | the body did not arrive in time |
//! | 413 | the body, or one record in it, is over the limit: nothing was written |
//! | 415 | the body's type or compression is not taken |
//! | 429 | the path's rate, or the bytes that it holds at once, are used up, or more records were rejected within a minute than `dead_letters.max_per_minute`
//! allows: repeat after the seconds of `Retry-After` |
//! | 503 | Kafka or the registry is away, or the pipeline stands halted: repeat after the seconds of `Retry-After` |
//!
//! ```text
//!  gateway ─► route: admission ─► body: compression, type ─► reading: records, columns ─► group ─► worker: transaction
//! ```
//!
//! The answer is `{"accepted": n, "rejected": n, "errors": [{"index", "code", "field", "reason"}]}`. Rejected records
//! become dead letters in the same transaction; with `on_error: halt` a request with a bad record is refused whole.
//!
//! A request with an `Idempotency-Key` may be repeated at will within the path's window: its records are written once, whichever
//! replica it comes to, and the repetition gets the first answer. See [`keyed`]; requests without a key never go that way.

mod admission;
mod again;
mod answer;
mod bodies;
mod body;
mod gateway;
mod group;
pub(crate) mod keyed;
mod openapi;
mod originals;
mod reading;
mod request;
mod route;
mod together;
mod worker;
mod writing;

pub(crate) use again::Again;
pub use bodies::{Bodies, Counts};
pub(crate) use gateway::{Ends, Gateway, Serving};
pub(crate) use worker::run;
