//! The allocator of the process: jemalloc, for Rust and for the C libraries in it.
//!
//! librdkafka allocates each record and each of its headers on one thread and frees it on another, which the C library's allocator takes badly: dead letters, with
//! seventeen headers each, cost half as much again (`docs/benchmarks.md`, "poison").
//!
//! It is built for memory pages of the size that the building machine has; for another, as some ARM systems have it, `JEMALLOC_SYS_WITH_LG_PAGE` names it (16 for 64 KiB).

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Where jemalloc looks for its settings (jemalloc(3), "TUNING"): a C string. Memory that was freed goes back to the system within a second, not ten: what a
/// pipeline held at its fullest is not what it holds from then on. Allocations of 8 MiB and more wait for that second too, and are not given back at once, as jemalloc
/// would: an answer of a broker that has records of many partitions is as large, and the next one would have each of its pages made anew.
#[unsafe(export_name = "malloc_conf")]
static SETTINGS: &[u8; 58] = b"dirty_decay_ms:1000,muzzy_decay_ms:0,oversize_threshold:0\0";
