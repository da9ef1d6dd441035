//! The push gateway: records over HTTP.
