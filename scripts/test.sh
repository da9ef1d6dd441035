#!/usr/bin/env bash
# All tests. Those that need servers find them by MILLRACE_TEST_...; see services/with-servers.sh.
#   test.sh [ARGS of cargo test]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/phases.sh
. scripts/phases.sh
trap phase_table EXIT

# The end-to-end tests run the binary itself. It is built with the features of the whole workspace, as the tests are, so
# that nothing is compiled twice.
phase "build the binary" cargo build --workspace --bins
phase "build the tests" cargo test --workspace --no-run --quiet
phase "tests" scripts/services/with-servers.sh cargo test --workspace --no-fail-fast "$@"
