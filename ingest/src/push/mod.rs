//! The push gateway: records over HTTP.
//!
//! `POST /<path>` takes one JSON object, a JSON array of objects, or one object on each line (NDJSON), whatever the content
//! type says. The records of one request become visible together, and the answer comes once they are durable:
//!
//! | status | when |
//! |---|---|
//! | 200 | every record was accepted |
//! | 207 | some were; the answer says which were not, and why |
//! | 422 | none was |
//! | 400 | the request has no records, or a header that can't be used |
//! | 404, 405 | no pipeline has the path; the method is not POST |
//! | 413 | the body, or one record in it, is over the limit: nothing was written |
//! | 415 | the body is compressed |
//! | 429 | more records were rejected within a minute than `dead_letters.max_per_minute` allows: nothing of this request was written |
//! | 503 | Kafka is away, or the pipeline stands halted: repeat after the seconds of `Retry-After` |
//!
//! The answer is `{"accepted": n, "rejected": n, "errors": [{"index", "code", "field", "reason"}]}`. Rejected records
//! become dead letters in the same transaction; with `on_error: halt` a request with a bad record is refused whole.
//!
//! A request with an `Idempotency-Key` may be repeated at will: its records are written once, and the
//! repetition gets the first answer. Keys are remembered for a day, up to 10,000 for each pipeline. The memory is an
//! instance's own, kept in Kafka: a repetition must come to the instance that took the first, or to one started later.

mod answer;
mod body;
mod gateway;
mod group;
mod ledger;
mod request;
mod worker;

pub(crate) use gateway::{Gateway, Serving};
pub(crate) use worker::run;
