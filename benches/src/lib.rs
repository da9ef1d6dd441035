//! Throughput of the standard workloads, with references in the same run.
