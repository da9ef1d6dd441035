//! The loader service: drives topics into any sink.
