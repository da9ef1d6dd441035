//! End-to-end, fault and compatibility tests of the millrace binary against real servers.
