#!/usr/bin/env bash
# All tests: those that look at a broker or registry from outside on the development ones too, then everything on real servers,
# which the tests find by MILLRACE_TEST_...; see services/with-servers.sh.
#   test.sh                       with a short run of faults at random at the end (torture.sh), whose seed it prints; --seed N repeats one
#   test.sh ARGS of cargo test    those tests alone, on real servers: test.sh kcat, or test.sh -p millrace-loader
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/phases.sh
. scripts/phases.sh
# shellcheck source=scripts/services/common.sh
. scripts/services/common.sh
trap phase_table EXIT

# What says the same of the development broker and registry as of Apache Kafka and a real registry. Only the tests are chosen,
# not the packages: the features stay those of the whole workspace, and nothing is compiled twice.
on_development_servers() {
  use_java 17
  scripts/services/kafka.sh install
  MILLRACE_TEST_JAVA_KAFKA_LIBS=$(scripts/services/kafka.sh libs)
  export MILLRACE_TEST_JAVA_KAFKA_LIBS
  env -u MILLRACE_TEST_KAFKA -u MILLRACE_TEST_REGISTRY \
    cargo test --workspace --no-fail-fast --test compatibility --test registry --test kafka --test partitioner
}

on_real_servers() {
  scripts/services/with-servers.sh cargo test "${packages[@]}" --no-fail-fast "$@"
}

# A minute of faults, and what they take to get over. What fails it is a record that is lost, doubled, reordered or corrupted, or a service that ends by itself
# or does not come back; a fault that could not be shown to bite here does not. A run of the sources at work is no entry of the ledger.
short_torture() {
  echo "scripts/torture.sh --seed $1 --mode short"
  scripts/torture.sh --seed "$1" --mode short
}

# The seed of the short torture, to repeat one.
seed=$((RANDOM << 15 | RANDOM))
if [ "${1:-}" = --seed ]; then
  seed=${2:?a number}
  shift 2
fi

# Packages that are named are tested alone.
packages=(--workspace)
for argument in "$@"; do
  case $argument in -p* | --package*) packages=() ;; esac
done

# The end-to-end tests run the binary itself. It is built with the features of the whole workspace, as the tests are.
phase "build the binary" cargo build --workspace --bins
phase "its crash points" scripts/crash-points.sh all "${CARGO_TARGET_DIR:-target}/debug/millrace"
if [ $# = 0 ]; then
  phase "build the tests" cargo test --workspace --no-run --quiet
  phase "tests, development broker" on_development_servers
fi
phase "tests, Apache Kafka" on_real_servers "$@"
if [ $# = 0 ]; then phase "torture, a short seed" short_torture "$seed"; fi
