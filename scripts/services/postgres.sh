#!/usr/bin/env bash
# A throw-away PostgreSQL from the system's packages, for tests, whose changes can be captured (wal_level=logical).
# As root it runs as the user postgres.
#
#   postgres.sh start | stop
#   postgres.sh url          print its URL
#   postgres.sh follow URL [OLD=NEW]
#                            make it a standby of the server at URL, and start it; the tablespace at OLD there is at NEW here
#   postgres.sh promote      make a standby a server that takes rows
#   postgres.sh crash        end it without a shutdown
#   postgres.sh discard      end it, and throw its data away
#
# Environment: POSTGRES_PORT POSTGRES_PASSWORD POSTGRES_STATE
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${POSTGRES_PORT:=35432}" "${POSTGRES_PASSWORD:=millrace}" "${POSTGRES_STATE:=$SERVICES_STATE/postgres}"
data=$POSTGRES_STATE/data

programs() {
  local folder
  folder=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
  [ -n "$folder" ] || die "PostgreSQL is not installed; scripts/setup.sh test installs it"
  echo "$folder"
}

bin=$(programs)

# PostgreSQL refuses to run as root.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then (cd / && setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"); else "$@"; fi
}

make_cluster() {
  if [ -f "$data/PG_VERSION" ]; then return; fi
  mkdir -p "$POSTGRES_STATE"
  echo "$POSTGRES_PASSWORD" >"$POSTGRES_STATE/password"
  if [ "$(id -u)" = 0 ]; then chown -R postgres: "$POSTGRES_STATE"; fi
  as_postgres "$bin/initdb" -D "$data" -U postgres -A scram-sha-256 --pwfile="$POSTGRES_STATE/password" -E UTF8 --locale=C.UTF-8 \
    >"$POSTGRES_STATE/initdb.log" || die "the cluster can't be made; see $POSTGRES_STATE/initdb.log"
  # Nothing here outlives the tests, so nothing is forced to disk.
  cat >>"$data/postgresql.conf" <<X
listen_addresses = '127.0.0.1'
port = $POSTGRES_PORT
unix_socket_directories = ''
max_connections = 200
shared_buffers = 256MB
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 4GB
wal_level = logical
max_replication_slots = 50
max_wal_senders = 50
X
}

# Its settings are those of the server that it follows, but for the port.
follow() {
  mkdir -p "$POSTGRES_STATE"
  if [ "$(id -u)" = 0 ]; then chown postgres: "$POSTGRES_STATE"; fi
  local mapping=()
  if [ -n "${2:-}" ]; then mapping=(-T "$2"); fi
  as_postgres "$bin/pg_basebackup" -d "$1" -D "$data" "${mapping[@]}" -R -c fast --no-sync >"$POSTGRES_STATE/basebackup.log" 2>&1 ||
    { cat "$POSTGRES_STATE/basebackup.log" >&2; die "the server can't be copied"; }
  echo "port = $POSTGRES_PORT" >>"$data/postgresql.conf"
  start
}

promote() { as_postgres "$bin/pg_ctl" -w -D "$data" promote >/dev/null; }

discard() {
  if running; then crash; fi
  rm -rf "$data"
}

crash() { as_postgres "$bin/pg_ctl" -m immediate -w -D "$data" stop >/dev/null; }

running() { as_postgres "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1; }

start() {
  if running; then return; fi
  if listens "$POSTGRES_PORT"; then die "port $POSTGRES_PORT is in use"; fi
  make_cluster
  as_postgres setsid "$bin/pg_ctl" -w -D "$data" -l "$POSTGRES_STATE/server.log" start >/dev/null ||
    { tail -n 20 "$POSTGRES_STATE/server.log" >&2; die "PostgreSQL does not start"; }
}

stop() {
  if running; then as_postgres "$bin/pg_ctl" -m fast -w -D "$data" stop >/dev/null; fi
}

case ${1:-} in
  start | stop | promote | crash | discard) "$1" ;;
  follow) follow "${2:?the URL of the server to follow}" "${3:-}" ;;
  url) echo "postgresql://postgres:$POSTGRES_PASSWORD@127.0.0.1:$POSTGRES_PORT/postgres" ;;
  *) sed -n '2,13p' "$0"; exit 2 ;;
esac
