//! The steps of a transform pipeline, one file or folder each.
