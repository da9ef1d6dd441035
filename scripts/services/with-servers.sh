#!/usr/bin/env bash
# Runs a command with real servers: Apache Kafka, a schema registry, PostgreSQL, MariaDB, Redis, Kafka Connect and object stores, on free ports of this machine.
#
#   with-servers.sh COMMAND ARGS...
#
# A Docker engine starts them where there is one, else they run natively (SERVICES_ENGINE=docker|native decides).
# They end with the command, however it ends. The command finds them by
#   MILLRACE_TEST_KAFKA            brokers, plaintext
#   MILLRACE_TEST_KAFKA_SASL       brokers, SASL_SSL; with _CA (a PEM file), _USERNAME, _PASSWORD
#   MILLRACE_TEST_KAFKA_GUEST_USERNAME, _PASSWORD   a user of it that has no rights but those that a test gives it
#   MILLRACE_TEST_REGISTRY         URL of the registry
#   MILLRACE_TEST_POSTGRES         URL of the database, with user and password
#   MILLRACE_TEST_MYSQL            URL of the MariaDB database, with user and password
#   MILLRACE_TEST_REDIS            URL of Redis, with the password; _TLS is its address for TLS, _CA a PEM file
#   MILLRACE_TEST_CONNECT          URL of Kafka Connect, which may still be starting
#   MILLRACE_TEST_S3, _AZURE       endpoints of object stores, each with a bucket or container `millrace`
#   MILLRACE_TEST_JAVA_KAFKA_LIBS  folder of Kafka's jars, for tests with Java clients
#   MILLRACE_TEST_PYTHON           a Python that has what common.sh names
# and finds `java` on its PATH.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# = 0 ]; then sed -n '2,20p' "$0"; exit 2; fi
SERVICES_STATE=$(mktemp -d "${TMPDIR:-/tmp}/millrace-servers.XXXXXX")
chmod 711 "$SERVICES_STATE" # the users postgres and mysql must come through
export SERVICES_STATE SERVICES_RUN=$$
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"

engine=${SERVICES_ENGINE:-}
if [ -z "$engine" ]; then if docker info >/dev/null 2>&1; then engine=docker; else engine=native; fi; fi

server() {
  if [ "$engine" = docker ]; then "$here/docker.sh" "$1" "$2"; else "$here/$2.sh" "$1"; fi
}

# shellcheck disable=SC2317 # called by the traps
finish() {
  local status=$? name
  trap - EXIT INT TERM
  if [ -n "${command_pid:-}" ]; then kill "$command_pid" 2>/dev/null || true; fi
  wait # a server that is just starting can't be stopped yet
  if [ "$status" != 0 ] && [ -f "$CONNECT_STATE/pid" ] && [ ! -d "/proc/$(cat "$CONNECT_STATE/pid")" ]; then
    echo "Kafka Connect has ended by itself:" >&2
    tail -n 30 "$CONNECT_STATE"/*.log >&2
  fi
  "$here/connect.sh" stop >/dev/null 2>&1 || true # before its Kafka
  "$here/objects.sh" stop >/dev/null 2>&1 || true
  "$here/redis.sh" stop >/dev/null 2>&1 || true
  for name in kafka registry postgres mariadb; do server stop "$name" >/dev/null 2>&1 & done
  wait
  if [ -n "${MILLRACE_TEST_KEEP:-}" ]; then echo "servers' logs: $SERVICES_STATE" >&2; else rm -rf "$SERVICES_STATE"; fi
  exit "$status"
}

# Each name is a variable and gets a port of its own.
pick_ports() {
  local name port taken=" "
  for name in "$@"; do
    while port=$(free_port) && [[ $taken = *" $port "* ]]; do :; done
    taken+="$port "
    export "$name=$port"
  done
}

start_all() {
  local name pids=() pid
  for name in kafka registry postgres mariadb; do
    server start "$name" &
    pids+=($!)
  done
  "$here/objects.sh" start & # natively in any case: they are scripts
  pids+=($!)
  "$here/redis.sh" start & # natively in any case: some tests start and kill one of their own
  pids+=($!)
  for pid in "${pids[@]}"; do wait "$pid" || die "a server did not start"; done
  "$here/connect.sh" start # natively in any case: its jars are those of the Java clients
}

export_addresses() {
  export MILLRACE_TEST_KAFKA=127.0.0.1:$KAFKA_PORT
  export MILLRACE_TEST_KAFKA_SASL=127.0.0.1:$KAFKA_SASL_PORT
  export MILLRACE_TEST_KAFKA_SASL_CA=$KAFKA_STATE/tls/ca.crt
  export MILLRACE_TEST_KAFKA_SASL_USERNAME=$KAFKA_USER MILLRACE_TEST_KAFKA_SASL_PASSWORD=$KAFKA_PASSWORD
  export MILLRACE_TEST_KAFKA_GUEST_USERNAME=$KAFKA_GUEST MILLRACE_TEST_KAFKA_GUEST_PASSWORD=$KAFKA_GUEST_PASSWORD
  MILLRACE_TEST_REGISTRY=$("$here/registry.sh" url)
  MILLRACE_TEST_POSTGRES=$("$here/postgres.sh" url)
  MILLRACE_TEST_MYSQL=$("$here/mariadb.sh" url)
  MILLRACE_TEST_REDIS=$("$here/redis.sh" url) MILLRACE_TEST_REDIS_CA=$("$here/redis.sh" ca)
  export MILLRACE_TEST_REDIS MILLRACE_TEST_REDIS_CA MILLRACE_TEST_REDIS_TLS=localhost:$REDIS_TLS_PORT
  MILLRACE_TEST_CONNECT=$("$here/connect.sh" url)
  MILLRACE_TEST_S3=$("$here/objects.sh" s3) MILLRACE_TEST_AZURE=$("$here/objects.sh" azure)
  export MILLRACE_TEST_S3 MILLRACE_TEST_AZURE
  MILLRACE_TEST_JAVA_KAFKA_LIBS=$("$here/kafka.sh" libs)
  MILLRACE_TEST_PYTHON=$(test_python)
  export MILLRACE_TEST_REGISTRY MILLRACE_TEST_POSTGRES MILLRACE_TEST_MYSQL MILLRACE_TEST_CONNECT MILLRACE_TEST_JAVA_KAFKA_LIBS MILLRACE_TEST_PYTHON
}

export KAFKA_STATE=$SERVICES_STATE/kafka REGISTRY_STATE=$SERVICES_STATE/registry POSTGRES_STATE=$SERVICES_STATE/postgres
export MARIADB_STATE=$SERVICES_STATE/mariadb MARIADB_PASSWORD=millrace
export REDIS_STATE=$SERVICES_STATE/redis REDIS_PASSWORD=millrace
export CONNECT_STATE=$SERVICES_STATE/connect OBJECTS_STATE=$SERVICES_STATE/objects
export KAFKA_USER=alice KAFKA_PASSWORD=alice-secret KAFKA_GUEST=bob KAFKA_GUEST_PASSWORD=bob-secret POSTGRES_PASSWORD=millrace
pick_ports KAFKA_PORT KAFKA_SASL_PORT KAFKA_CONTROLLER_PORT REGISTRY_PORT REGISTRY_MANAGEMENT_PORT POSTGRES_PORT MARIADB_PORT REDIS_PORT REDIS_TLS_PORT CONNECT_PORT OBJECTS_S3_PORT OBJECTS_AZURE_PORT
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
started=$SECONDS
start_all
export_addresses
use_java 17
echo "servers ($engine) in $((SECONDS - started)) s: Kafka $MILLRACE_TEST_KAFKA, registry $MILLRACE_TEST_REGISTRY, PostgreSQL 127.0.0.1:$POSTGRES_PORT, MariaDB 127.0.0.1:$MARIADB_PORT, Redis 127.0.0.1:$REDIS_PORT" >&2
# In the background and waited for, so that a signal reaches the trap at once.
"$@" &
command_pid=$!
status=0
wait "$command_pid" || status=$?
command_pid=
exit "$status"
