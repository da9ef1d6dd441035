//! The project file: reading it, its shared sections, and the typed flow of its pipelines.
