#!/usr/bin/env bash
# A throw-away Redis from the system's packages, for tests.
#
#   redis.sh start | stop
#   redis.sh url      print its URL
#   redis.sh ca       print the file of the authority that its TLS port is certified by
#
# Environment: REDIS_PORT REDIS_TLS_PORT REDIS_PASSWORD REDIS_STATE
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${REDIS_PORT:=36379}" "${REDIS_TLS_PORT:=36380}" "${REDIS_PASSWORD:=millrace}" "${REDIS_STATE:=$SERVICES_STATE/redis}"
tls=$REDIS_STATE/tls

make_certificates() {
  if [ -f "$tls/server.crt" ]; then return; fi
  need openssl
  mkdir -p "$tls"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Millrace test authority" -keyout "$tls/ca.key" -out "$tls/ca.crt" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$tls/server.key" -out "$tls/server.csr" 2>/dev/null
  openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial -days 3650 -out "$tls/server.crt" \
    -extfile <(echo "subjectAltName=DNS:localhost") 2>/dev/null
}

serves() { REDISCLI_AUTH=$REDIS_PASSWORD redis-cli -h 127.0.0.1 -p "$REDIS_PORT" ping 2>/dev/null | grep -q PONG; }

start() {
  need redis-server
  if own_pid "$REDIS_STATE/pid" "$REDIS_STATE" >/dev/null; then return; fi
  if listens "$REDIS_PORT"; then die "port $REDIS_PORT is in use"; fi
  make_certificates
  # Each test takes a database of its own. Nothing here outlives the tests, so nothing is written to disk.
  cat >"$REDIS_STATE/redis.conf" <<X
bind 127.0.0.1
port $REDIS_PORT
tls-port $REDIS_TLS_PORT
tls-cert-file $tls/server.crt
tls-key-file $tls/server.key
tls-ca-cert-file $tls/ca.crt
tls-auth-clients no
requirepass $REDIS_PASSWORD
databases 4096
save ""
appendonly no
dir $REDIS_STATE
pidfile $REDIS_STATE/pid
set-proc-title no
X
  setsid redis-server "$REDIS_STATE/redis.conf" >"$REDIS_STATE/server.log" 2>&1 &
  await_server 60 Redis "$REDIS_STATE/pid" "$REDIS_STATE" serves
}

stop() { end_own "$REDIS_STATE/pid" "$REDIS_STATE"; }

case ${1:-} in
  start | stop) "$1" ;;
  url) echo "redis://:$REDIS_PASSWORD@127.0.0.1:$REDIS_PORT" ;;
  ca) echo "$tls/ca.crt" ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
