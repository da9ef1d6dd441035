//! Text formats from outside (JSON, CSV) to Arrow, by schema and strictly.
