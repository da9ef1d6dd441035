#!/usr/bin/env bash
# The orders example from start to end: a schema that moves, a poisoned batch, and its surgery, on `millrace dev` alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/services/common.sh
. scripts/services/common.sh
example=examples/orders
millrace=${CARGO_TARGET_DIR:-target}/debug/millrace
folder=$(mktemp -d "${TMPDIR:-/tmp}/millrace-orders.XXXXXX")
project=$folder/orders
log=$folder/millrace.log
# shellcheck source=scripts/demos.sh
. scripts/demos.sh

# Runs millrace, and shows how: arguments with blanks in quotes.
shown() {
  local argument line='  $ millrace'
  for argument; do
    case $argument in *' '*) line+=" \"$argument\"" ;; *) line+=" $argument" ;; esac
  done
  echo "$line"
  "$millrace" "$@"
}

start() {
  "$millrace" dev "$project" --kafka 127.0.0.1:0 --registry 127.0.0.1:0 >>"$log" 2>&1 &
  pid=$!
  await "the services start" ready
}

post() { curl -sS -o "$folder/answer" -w '%{http_code}' -X POST -H 'Content-Type: application/x-ndjson' --data-binary @- "http://$MILLRACE_HTTP/orders"; }

# How many rows a table has; 0 as long as there is none.
rows() { "$millrace" query "SELECT count(*) AS n FROM $1" 2>/dev/null | awk 'NR == 3 { print $1 }'; }

has() { [ "$(rows "$1")" = "$2" ]; }

letters() { "$millrace" dead-letters list --json "$@"; }

waiting() { [ "$(letters | wc -l)" = "$1" ]; }

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "Building (the first time takes some minutes)"
[ -n "${MILLRACE_BUILT:-}" ] || cargo build --workspace --bins
cp -r "$example" "$project"
rm -rf "$project/.millrace" # what an earlier run on the example itself has left
MILLRACE_HTTP=127.0.0.1:$(free_port)
MILLRACE_ADMIN=127.0.0.1:$(free_port)
MILLRACE_PROJECT=$project
export MILLRACE_HTTP MILLRACE_ADMIN MILLRACE_PROJECT

say "1. 500 orders come by HTTP"
start
echo "  HTTP $("$project/generate.sh" 500 1 | post): $(cat "$folder/answer")"
await "500 orders are in the table" has orders 500
shown query "SELECT count(*) AS orders, round(sum(amount), 2) AS amount FROM orders"

say "2. The schema moves: orders get a currency, and a table that is loaded from the topic's start"
stop
cp "$project/later/order.avsc" "$project/schemas/order.avsc"
cp "$project/later/currency.yaml" "$project/"
start
echo "  HTTP $("$project/generate.sh" 300 501 currency | post): $(cat "$folder/answer")"
await "800 orders are in the new table" has currencies 800
await "800 orders are in the table" has orders 800
shown query "SELECT currency, count(*) AS orders, min(id) AS first FROM currencies GROUP BY currency ORDER BY currency"

say "3. A poisoned batch: 40 amounts of the wrong sign, 6 with a decimal comma, 20 good orders before them"
{
  "$project/generate.sh" 20 801 currency
  "$project/generate.sh" 40 821 negative
  "$project/generate.sh" 6 861 text
} >"$folder/poisoned"
echo "  HTTP $(post <"$folder/poisoned"): $(cut -c 1-150 "$folder/answer") …"
await "the good orders are in the table" has orders 820
await "46 dead letters" waiting 46
shown dead-letters stats
shown dead-letters list --where "code = 'MR0404'"

say "4. Surgery: what would a patch do?"
first=$(letters --where "pipeline = 'orders.checked' AND value.id = 'o000821'" | sed 's/.*"id":"\([^"]*\)".*/\1/')
shown dead-letters show "$first"
shown dead-letters replay "$first" --patch "amount = abs(amount)" --dry-run

say "   Then all 40 of them"
shown dead-letters replay --where "pipeline = 'orders.checked' AND amount < 0" --patch "amount = abs(amount)" --by demo
await "860 orders are in the table" has orders 860

say "   Those with a decimal comma are mended by sed, in files"
shown dead-letters export --where "code = 'MR0404'" --format raw --output "$folder/letters"
sed -i 's/"amount":"\([0-9]*\),\([0-9]*\)"/"amount":\1.\2/' "$folder"/letters/*.value
shown dead-letters replay --from "$folder/letters" --where "id <> 'o000866'" --by demo
await "865 orders are in the table" has orders 865

say "   The last one is nobody's order"
shown dead-letters discard --every --reason "a test order of the shop" --by demo
shown dead-letters list --resolved --where "code = 'MR0404'"
shown dead-letters replay --every

await "every order is in the table once" has orders 865
negative=$("$millrace" query "SELECT count(*) AS n FROM orders WHERE amount < 0" | awk 'NR == 3 { print $1 }')
[ "$negative" = 0 ] || die "$negative orders of a negative amount are in the table"
say "866 orders: 865 in the table, once each, 1 discarded"
