#!/usr/bin/env bash
# A throw-away MariaDB from the system's packages, for tests. As root it runs as the user mysql.
#
#   mariadb.sh start | stop
#   mariadb.sh url      print its URL
#
# Environment: MARIADB_PORT MARIADB_PASSWORD MARIADB_STATE
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${MARIADB_PORT:=33306}" "${MARIADB_PASSWORD:=millrace}" "${MARIADB_STATE:=$SERVICES_STATE/mariadb}"
data=$MARIADB_STATE/data
socket=$MARIADB_STATE/server.sock

# MariaDB refuses to run as root.
as_mysql() {
  if [ "$(id -u)" = 0 ]; then (cd / && setpriv --reuid=mysql --regid=mysql --init-groups -- "$@"); else "$@"; fi
}

make_data() {
  if [ -d "$data/mysql" ]; then return; fi
  mkdir -p "$MARIADB_STATE"
  if [ "$(id -u)" = 0 ]; then chown -R mysql: "$MARIADB_STATE"; fi
  as_mysql mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal --skip-test-db \
    >"$MARIADB_STATE/install.log" 2>&1 || die "the data folder can't be made; see $MARIADB_STATE/install.log"
}

serves() { mariadb-admin --no-defaults --socket="$socket" --user=root --password="$MARIADB_PASSWORD" ping >/dev/null 2>&1; }

start() {
  need mariadbd
  need mariadb-install-db
  if own_pid "$MARIADB_STATE/pid" "$data" >/dev/null; then return; fi
  if listens "$MARIADB_PORT"; then die "port $MARIADB_PORT is in use"; fi
  make_data
  # shellcheck disable=SC2016 # expanded by the other shell
  as_mysql sh -c 'cat >"$1"' sh "$MARIADB_STATE/users.sql" <<X
ALTER USER root@localhost IDENTIFIED BY '$MARIADB_PASSWORD';
CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '$MARIADB_PASSWORD';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS millrace CHARACTER SET utf8mb4;
X
  # Nothing here outlives the tests, so nothing is forced to disk. A zone that is not UTC shows what depends on it. Another server that starts would
  # clear a shared folder of temporary tables.
  as_mysql setsid mariadbd --no-defaults --datadir="$data" --tmpdir="$MARIADB_STATE" --socket="$socket" --pid-file="$MARIADB_STATE/pid" \
    --bind-address=127.0.0.1 --port="$MARIADB_PORT" --init-file="$MARIADB_STATE/users.sql" --default-time-zone=+05:30 \
    --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=64M --max-connections=200 --skip-name-resolve \
    >"$MARIADB_STATE/server.log" 2>&1 &
  await_server 60 MariaDB "$MARIADB_STATE/pid" "$data" serves
}

stop() { end_own "$MARIADB_STATE/pid" "$data"; }

case ${1:-} in
  start | stop) "$1" ;;
  url) echo "mysql://root:$MARIADB_PASSWORD@127.0.0.1:$MARIADB_PORT/millrace" ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac
