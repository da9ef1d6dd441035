#!/usr/bin/env bash
# The standard jobs, in a release build, on Apache Kafka and PostgreSQL.
#   bench.sh [ARGS of `millrace-benches run`]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --release --workspace --bins
target=${CARGO_TARGET_DIR:-target}
scripts/crash-points.sh none "$target/release/millrace"
scripts/services/with-servers.sh "$target/release/millrace-benches" run "$@"
