#!/usr/bin/env bash
# The flights example from start to end, on this machine alone: `millrace dev` brings Kafka, registry and warehouse.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/services/common.sh
. scripts/services/common.sh
example=examples/flights
millrace=${CARGO_TARGET_DIR:-target}/debug/millrace
folder=$(mktemp -d "${TMPDIR:-/tmp}/millrace-demo.XXXXXX")
project=$folder/flights
log=$folder/millrace.log
# shellcheck source=scripts/demos.sh
. scripts/demos.sh

# The sum of a metric over all pipelines: metric SERVICE_WHAT.
metric() {
  curl -fsS "http://$MILLRACE_ADMIN/metrics" 2>/dev/null | awk -v name="millrace_$1" -F '[{ ]' '$1 == name { sum += $NF } END { print sum + 0 }'
}

count() {
  loaded=$(metric loader_records_out_total)
  filtered=$(metric transform_records_filtered_total)
  refused=$(($(metric ingest_records_rejected_total) + $(metric transform_records_rejected_total) + $(metric loader_records_rejected_total)))
}

all_arrived() {
  count
  [ $((loaded + filtered + refused)) -ge "$published" ]
}

# Data lines of the example's files; CSV files have a header.
lines() { awk 'FNR > 1 || FILENAME ~ /ndjson$/ { count++ } END { print count }' "$@"; }

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "Building (the first time takes some minutes)"
cargo build --workspace --bins
cp -r "$example" "$project"
rm -rf "$project/.millrace" # what an earlier run on the example itself has left
published=$(lines "$project"/data/*)
MILLRACE_HTTP=127.0.0.1:$(free_port)
MILLRACE_ADMIN=127.0.0.1:$(free_port)
export MILLRACE_HTTP MILLRACE_ADMIN

say "Starting Kafka, registry, warehouse and the three services in one process: millrace dev $example"
"$millrace" dev "$project" --kafka 127.0.0.1:0 --registry 127.0.0.1:0 >"$log" 2>&1 &
pid=$!
await "the services start" ready

say "Flights come by file ($(lines "$project"/data/*.csv)) and by HTTP ($(lines "$project"/data/*.ndjson))"
curl -fsS -X POST -H 'Content-Type: application/x-ndjson' --data-binary "@$project/data/blizzard.ndjson" "http://$MILLRACE_HTTP/flights"
echo
await "every record is in the table, filtered or a dead letter" all_arrived

say "Which airlines left late? From the table that was loaded:"
"$millrace" query --project "$project" "SELECT carrier, count(*) AS flights, sum(late) AS late, round(100.0 * sum(late) / count(*)) AS percent_late,
  round(avg(dep_delay), 1) AS minutes FROM delays GROUP BY carrier HAVING count(*) > 50 ORDER BY percent_late DESC LIMIT 8"

say "Which way did they go?"
count
in_table=$("$millrace" query --project "$project" "SELECT count(*) AS rows FROM delays" | awk 'NR == 3 { print $1 }')
printf '  %-34s %6d\n' "published" "$published" "loaded: rows in the table" "$in_table" "cancelled, dropped by the filter" "$filtered" "refused, kept as dead letters" "$refused"
[ $((in_table + filtered + refused)) = "$published" ] || die "the numbers do not add up"
echo "  $published = $in_table + $filtered + $refused"

say "The dead letters: millrace dead-letters list"
"$millrace" dead-letters list --project "$project"

cat <<X

Try next:
  $millrace check $example                 find what is wrong with a project before anything runs
  $millrace dev $example                   keep it running, then in another terminal:
  curl -X POST -H 'Content-Type: application/x-ndjson' --data-binary @$example/data/blizzard.ndjson http://127.0.0.1:8080/flights
  $millrace topics tail flights.delays -p $example
  $millrace dead-letters show PARTITION:OFFSET -p $example
  make test                                             the same on Apache Kafka, a registry and PostgreSQL
X
