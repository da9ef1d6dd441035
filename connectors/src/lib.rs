//! One folder for each outside system: its connection, source, sink and capture.
