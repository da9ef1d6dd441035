//! The project-file section of this service.
