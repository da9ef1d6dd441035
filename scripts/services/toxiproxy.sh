#!/usr/bin/env bash
# Toxiproxy (github.com/Shopify/toxiproxy), built from the Go module proxy: TCP proxies whose links can be slowed, cut and closed over an
# HTTP API, for tests of what happens when a network does that. Needs go.
#
#   toxiproxy.sh install | start | stop
#   toxiproxy.sh url      print the URL of its API
#
# Environment: TOXIPROXY_PORT TOXIPROXY_VERSION TOXIPROXY_STATE
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${TOXIPROXY_PORT:=18474}" "${TOXIPROXY_VERSION:=2.12.0}" "${TOXIPROXY_STATE:=$SERVICES_STATE/toxiproxy}"
folder=$SERVICES_CACHE/toxiproxy/$TOXIPROXY_VERSION
server=$folder/server

install() {
  if [ -x "$server" ]; then return; fi
  need go
  mkdir -p "$folder"
  GOBIN=$folder go install "github.com/Shopify/toxiproxy/v2/cmd/server@v$TOXIPROXY_VERSION" >"$folder.log" 2>&1 ||
    { cat "$folder.log" >&2; die "Toxiproxy can't be built"; }
}

serves() { curl -fsS -o /dev/null "http://127.0.0.1:$TOXIPROXY_PORT/version"; }

start() {
  if own_pid "$TOXIPROXY_STATE/pid" "$server" >/dev/null; then return; fi
  need curl
  install
  if listens "$TOXIPROXY_PORT"; then die "port $TOXIPROXY_PORT is in use"; fi
  mkdir -p "$TOXIPROXY_STATE"
  LOG_LEVEL=warn setsid "$server" -host 127.0.0.1 -port "$TOXIPROXY_PORT" -proxy-metrics >"$TOXIPROXY_STATE/server.log" 2>&1 </dev/null &
  echo $! >"$TOXIPROXY_STATE/pid"
  await_server 30 Toxiproxy "$TOXIPROXY_STATE/pid" "$server" serves
}

stop() { end_own "$TOXIPROXY_STATE/pid" "$server"; }

case ${1:-} in
  install | start) "$1" ;;
  stop) stop ;;
  url) echo "http://127.0.0.1:$TOXIPROXY_PORT" ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
