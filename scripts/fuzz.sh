#!/usr/bin/env bash
# Fuzzes what reads bytes from outside, one target after the other; see docs/security.md.
#
#   fuzz.sh [MINUTES [TARGET...]]   each target for so many minutes (20), all of them where none is named
#
# A line of JSON for each run goes to FUZZ_LEDGER (fuzz/ledger.jsonl). New inputs are merged into the kept corpus when no run of the
# target found anything; what was found stays in FUZZ_STATE/artifacts. Fails when something was found.
# The address sanitizer needs flags of a nightly compiler: RUSTC_BOOTSTRAP lets the stable one take them, for this build alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
minutes=${1:-20}
if [ $# -gt 0 ]; then shift; fi
state=${FUZZ_STATE:-${CARGO_TARGET_DIR:-target}/fuzz}
ledger=${FUZZ_LEDGER:-fuzz/ledger.jsonl}
home=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-tools/cargo-fuzz-0.13.2
export PATH=$home/bin:$PATH RUSTC_BOOTSTRAP=1
# zlib, zstd and SQLite are built with the sanitizer too; librdkafka's configure must link what it tries with it.
export LDFLAGS="${LDFLAGS:-} -fsanitize=address"
mkdir -p "$state"
state=$(realpath "$state")

command -v cargo-fuzz >/dev/null || cargo install --quiet --locked --root "$home" cargo-fuzz@0.13.2
targets=("$@")
if [ ${#targets[@]} = 0 ]; then mapfile -t targets < <(cargo fuzz list --fuzz-dir fuzz); fi

# What a run of libFuzzer said at its end, as one line of the ledger.
ledger_line() {
  local target=$1 log=$2 seconds=$3 findings=$4 executions
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p; s/^#\([0-9]*\)\s*DONE.*/\1/p' "$log" | tail -1)
  printf '{"target":"%s","commit":"%s","at":"%s","minutes":%s,"executions":%s,"findings":%s}\n' "$target" "$(git rev-parse --short=12 HEAD)" \
    "$(date -u +%FT%TZ)" "$(awk -v s="$seconds" 'BEGIN { printf "%.1f", s / 60 }')" "${executions:-0}" "$findings" >>"$ledger"
}

status=0
for target in "${targets[@]}"; do
  corpus=$state/corpus/$target artifacts=$state/artifacts/$target log=$state/$target.log
  mkdir -p "$corpus" "$artifacts"
  cp -n fuzz/corpus/"$target"/* "$corpus"/
  build=(--fuzz-dir fuzz --target-dir "$state/target" -s address "$target")
  cargo fuzz build "${build[@]}" >"$log" 2>&1 || { tail -30 "$log" >&2; exit 1; }
  # What it takes to build is no fuzzing.
  before=$(find "$artifacts" -type f | wc -l) started=$SECONDS found=0
  cargo fuzz run "${build[@]}" "$corpus" -- \
    -max_total_time=$((minutes * 60)) -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$artifacts/" >"$log" 2>&1 || found=1
  findings=$(($(find "$artifacts" -type f | wc -l) - before))
  # A build that fails finds nothing, and is no run.
  if [ $found = 1 ] && [ "$findings" = 0 ]; then tail -30 "$log" >&2; exit 1; fi
  ledger_line "$target" "$log" $((SECONDS - started)) "$findings"
  tail -1 "$ledger"
  if [ "$findings" != 0 ]; then
    status=1
    echo "$target: see $artifacts and $log" >&2
  fi
done
exit $status
