#!/usr/bin/env bash
# Randomised faults on real servers: three brokers of Kafka, a registry and PostgreSQL, with Toxiproxy before each of them; a ledger of
# every record in and out (tests/torture). The servers are its own and end with it.
#
#   torture.sh ARGS of millrace-torture    torture.sh --seed 7 --minutes 60 --faults process,broker_killed
#   torture.sh --list                      the names of the faults
#   torture.sh ledger                      totals of all runs so far
#
# With TORTURE_PROFILE=release (or dist) the services are built so, and are ready again in half the time. It is these sources that are built: the ledger says
# that of them. With MILLRACE_TEST_KEEP the servers' folders stay; of a run that failed their logs do.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
services=$here/services
SERVICES_STATE=$(mktemp -d "${TMPDIR:-/tmp}/millrace-torture.XXXXXX")
chmod 711 "$SERVICES_STATE" # the user postgres must come through
export SERVICES_STATE
# shellcheck source=scripts/services/common.sh
. "$services/common.sh"
export CLUSTER_STATE=$SERVICES_STATE/cluster REGISTRY_STATE=$SERVICES_STATE/registry POSTGRES_STATE=$SERVICES_STATE/postgres
export TOXIPROXY_STATE=$SERVICES_STATE/toxiproxy

# A port behind which those of the cluster are free too.
cluster_port() {
  local port shift taken
  while :; do
    port=$(free_port) taken=
    for shift in 1 2 3 11 12 13 21 22 23 31 32 33; do
      if listens $((port + shift)); then taken=1; fi
    done
    if [ -z "$taken" ]; then echo "$port"; return; fi
  done
}

# What the servers said; what Kafka keeps of its topics is named like a log, too.
# shellcheck disable=SC2317 # called by a trap
keep_logs() {
  (cd "$SERVICES_STATE" && find . -name '*.log' ! -name '0*.log' -print0 | tar --null --files-from=- -czf "$SERVICES_STATE.logs.tar.gz")
  echo "servers' logs: $SERVICES_STATE.logs.tar.gz" >&2
}

# shellcheck disable=SC2317 # called by the traps
finish() {
  local status=$?
  trap - EXIT INT TERM
  if [ -n "${command_pid:-}" ]; then kill "$command_pid" 2>/dev/null || true; fi
  wait # a server that is just starting can't be stopped yet
  "$services/kafka-cluster.sh" stop >/dev/null 2>&1 &
  "$services/postgres.sh" stop >/dev/null 2>&1 &
  # The one that has followed it, if a failover made one.
  POSTGRES_STATE=$POSTGRES_STATE-second "$services/postgres.sh" stop >/dev/null 2>&1 &
  "$services/registry.sh" stop >/dev/null 2>&1 &
  "$services/toxiproxy.sh" stop >/dev/null 2>&1 &
  wait
  if [ "$status" != 0 ]; then keep_logs || true; fi
  if [ -n "${MILLRACE_TEST_KEEP:-}" ]; then echo "servers' folders: $SERVICES_STATE" >&2; else rm -rf "$SERVICES_STATE"; fi
  exit "$status"
}

# The services know the servers by names, from a file that is /etc/hosts to them alone, and nobody else is asked for a name: so names can fail.
# That takes the right to mount; without it they know addresses.
name_servers() {
  local hosts=$SERVICES_STATE/hosts resolver=$SERVICES_STATE/resolv.conf mounts
  echo "127.0.0.1 localhost kafka.millrace.test registry.millrace.test postgres.millrace.test" >"$hosts"
  printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$resolver"
  mounts="mount --bind '$hosts' /etc/hosts && mount --bind '$resolver' /etc/resolv.conf"
  if ! unshare --mount sh -c "$mounts" 2>/dev/null; then return; fi
  # shellcheck disable=SC2016 # the words of the script that is written
  printf '#!/bin/sh\nexec unshare --mount sh -c "%s && exec \"\$0\" \"\$@\"" %q "$@"\n' "$mounts" "$MILLRACE_BIN" >"$SERVICES_STATE/millrace"
  chmod +x "$SERVICES_STATE/millrace"
  export TORTURE_HOSTS=$hosts CLUSTER_PROXIED_HOST=kafka.millrace.test MILLRACE_BIN=$SERVICES_STATE/millrace
}

start_all() {
  local pids=() pid
  "$services/kafka-cluster.sh" start &
  pids+=($!)
  "$services/registry.sh" start &
  pids+=($!)
  "$services/postgres.sh" start &
  pids+=($!)
  "$services/toxiproxy.sh" start &
  pids+=($!)
  for pid in "${pids[@]}"; do wait "$pid" || die "a server did not start"; done
}

cargo build --workspace --bins --quiet # with the features of the whole workspace, as the tests are
folder=${CARGO_TARGET_DIR:-$here/../target}/debug
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
case " $* " in
  *" --list "* | *" ledger "* | *" --help "*) "$folder/millrace-torture" "$@"; exit ;;
esac
CLUSTER_PORT=$(cluster_port) REGISTRY_PORT=$(free_port) REGISTRY_MANAGEMENT_PORT=$(free_port) POSTGRES_PORT=$(free_port) TOXIPROXY_PORT=$(free_port)
export CLUSTER_PORT REGISTRY_PORT REGISTRY_MANAGEMENT_PORT POSTGRES_PORT TOXIPROXY_PORT
profile=${TORTURE_PROFILE:-dev}
export MILLRACE_BIN=$folder/millrace
if [ "$profile" != dev ]; then
  cargo build --package millrace --profile "$profile" --quiet
  export MILLRACE_BIN=$folder/../$profile/millrace
fi
use_java 17
name_servers
started=$SECONDS
start_all
echo "servers in $((SECONDS - started)) s: $("$services/kafka-cluster.sh" brokers), $("$services/registry.sh" url), PostgreSQL $POSTGRES_PORT, Toxiproxy $TOXIPROXY_PORT" >&2
# In the background and waited for, so that a signal reaches the trap at once.
"$folder/millrace-torture" "$@" &
command_pid=$!
status=0
wait "$command_pid" || status=$?
command_pid=
exit "$status"
