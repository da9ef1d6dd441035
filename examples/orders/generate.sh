#!/usr/bin/env bash
# Prints made-up orders as NDJSON: generate.sh COUNT [FIRST] [KIND]. The same arguments print the same orders.
#   KIND: plain, currency (with the later column), negative (amounts of a wrong sign), text (amounts that are no numbers)
set -euo pipefail
awk -v count="${1:?how many}" -v first="${2:-1}" -v kind="${3:-plain}" '
  # Park and Miller: the same everywhere, whatever awk it is.
  function random(below) { seed = (seed * 16807) % 2147483647; return seed % below }
  BEGIN {
    seed = 20260101 + first
    for (n = first; n < first + count; n++) {
      cents = 100 + random(20000)
      amount = sprintf("%d.%02d", cents / 100, cents % 100)
      if (kind == "negative") amount = "-" amount
      if (kind == "text") { sub(/\./, ",", amount); amount = "\"" amount "\"" }
      more = kind == "currency" ? sprintf(",\"currency\":\"%s\"", random(3) ? "EUR" : "CHF") : ""
      printf "{\"id\":\"o%06d\",\"customer\":\"c%02d\",\"amount\":%s,\"placed_at\":%d%s}\n", n, random(40), amount, 1767225600000 + n * 60000, more
    }
  }'
