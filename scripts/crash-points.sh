#!/usr/bin/env bash
# Whether a binary holds the names of crash points: that of the tests must hold them all, one that is shipped none.
#   crash-points.sh all|none BINARY
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
wanted=$1 binary=$2

names=$(grep -ohE '"[a-z_]+(\.[a-z_]+)+\.(before|after)"' ./*/src/crash_point*.rs | tr -d '"' | sort -u)
[ -n "$names" ] || { echo "no crate declares a crash point" >&2; exit 1; }
held=0
for name in $names; do
  if grep -aqF "$name" "$binary"; then
    held=$((held + 1))
    [ "$wanted" = all ] || { echo "$binary holds the crash point $name" >&2; exit 1; }
  elif [ "$wanted" = all ]; then
    echo "$binary lacks the crash point $name" >&2
    exit 1
  fi
done
echo "$binary holds $held of $(wc -w <<<"$names") crash points"
