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
/// pipeline held at its fullest is not what it holds from then on.
#[unsafe(export_name = "malloc_conf")]
static SETTINGS: &[u8; 37] = b"dirty_decay_ms:1000,muzzy_decay_ms:0\0";
