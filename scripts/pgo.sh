#!/usr/bin/env bash
# Builds the program by what it does most (profile-guided optimisation): a build that counts runs the standard jobs, and the compiler lays out
# the shipped one by the counts.
#
#   pgo.sh train            the counts, from Kafka and PostgreSQL at work: target/pgo/millrace.profdata
#   pgo.sh build            the program by them: target/pgo/<host>/dist/millrace
#
# Each takes as long as a build of the profile dist does. The counts are of one compiler and of the sources as they are: later sources gain less from them.
# LLVM_PROFDATA names a tool that reads what rustc's LLVM writes: that of `rustup component add llvm-tools`, or of Debian's llvm-19 or later.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${CARGO_TARGET_DIR:-target}/pgo
mkdir -p "$folder"
folder=$(realpath "$folder")
profile=$folder/millrace.profdata
host=$(rustc -vV | sed -n 's/^host: //p')
records=${PGO_RECORDS:-300000}

profdata() {
  local tool
  for tool in "${LLVM_PROFDATA:-}" "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" llvm-profdata-{23,22,21,20,19} llvm-profdata; do
    if [ -n "$tool" ] && command -v "$tool" >/dev/null; then
      "$tool" "$@"
      return
    fi
  done
  echo "pgo.sh: no llvm-profdata: install llvm-tools by rustup, or llvm-19, or set LLVM_PROFDATA" >&2
  return 1
}

# With --target, so that the flags are for the program and not for what builds it.
build() {
  local folder=$1 flags=$2
  shift 2
  CARGO_TARGET_DIR=$folder RUSTFLAGS="${RUSTFLAGS:-} $flags" cargo build --profile dist --target "$host" "$@"
}

train() {
  local counts=$folder/counts
  # Counts stand in files that the processes map, for the benches end them by SIGKILL; what values were seen can't stand there.
  build "$folder/counting" "-Cprofile-generate -Cllvm-args=-runtime-counter-relocation -Cllvm-args=-disable-vp" --package millrace
  cargo build --profile dist --package millrace-benches
  rm -rf "$counts"
  LLVM_PROFILE_FILE=$counts/%p%c.profraw scripts/services/with-servers.sh "${CARGO_TARGET_DIR:-target}/dist/millrace-benches" run \
    --binary "$folder/counting/$host/dist/millrace" --records "$records" --results "$folder/results" T poison I1 I2 I3 L1 L2 L3 E
  profdata merge --output "$profile" "$counts"/*.profraw
}

case ${1:-} in
  train) train ;;
  build)
    [ -e "$profile" ] || { echo "pgo.sh: there are no counts yet: pgo.sh train" >&2; exit 1; }
    build "$folder" "-Cprofile-use=$profile" --package millrace
    ;;
  *)
    sed -n '2,9p' "$0" >&2
    exit 2
    ;;
esac
