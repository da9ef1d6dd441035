#!/usr/bin/env bash
# The standard jobs, of the program as it is shipped (profile dist), on Apache Kafka and PostgreSQL.
#   bench.sh [ARGS of `millrace-benches run`]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --profile dist --workspace --bins
target=${CARGO_TARGET_DIR:-target}
scripts/crash-points.sh none "$target/dist/millrace"
scripts/services/with-servers.sh "$target/dist/millrace-benches" run "$@"
