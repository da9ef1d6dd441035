#!/usr/bin/env bash
# Apicurio Registry from Maven Central: a schema registry that speaks Confluent's API, for tests. Needs java >= 17 and mvn.
#
#   registry.sh install | start | stop
#   registry.sh url      print its URL
#
# Version 3.3 needs Java 21; with an older one 3.0.9 is taken. Data is in memory.
# Environment: REGISTRY_PORT REGISTRY_HEAP REGISTRY_STATE
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${REGISTRY_PORT:=18081}" "${REGISTRY_HEAP:=256m}" "${REGISTRY_STATE:=$SERVICES_STATE/registry}"
url=http://127.0.0.1:$REGISTRY_PORT/apis/ccompat/v7

if [ -n "$(java_from 21)" ]; then version=3.3.3 java=21; else version=3.0.9 java=17; fi
app=$SERVICES_CACHE/apicurio/$version

install() {
  if [ -f "$app/.complete" ]; then return; fi
  need mvn
  mkdir -p "$app"
  mvn -B -q -ntp dependency:copy -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -DoutputDirectory="$app" \
    -Dmdep.useBaseVersion=true >"$app.log" 2>&1 || { cat "$app.log" >&2; die "the registry can't be fetched"; }
  tar xzf "$app/apicurio-registry-app-$version-all.tar.gz" -C "$app"
  rm "$app/apicurio-registry-app-$version-all.tar.gz"
  touch "$app/.complete"
}

launch() {
  local jar=$app/quarkus-run.jar
  if [ ! -f "$jar" ]; then jar=$(echo "$app"/*-runner.jar); fi
  (cd "$app" && exec setsid java -Xmx"$REGISTRY_HEAP" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 \
    -Dquarkus.http.port="$REGISTRY_PORT" -Dquarkus.management.host=127.0.0.1 -Dquarkus.management.port="${REGISTRY_MANAGEMENT_PORT:-$(free_port)}" \
    -Dquarkus.log.level=WARN -jar "$jar" >"$REGISTRY_STATE/registry.log" 2>&1 </dev/null) &
  echo $! >"$REGISTRY_STATE/pid"
}

# Confluent's own registry checks compatibility unless told otherwise; this one does not.
check_compatibility() {
  curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/json' -d '{"compatibility":"BACKWARD"}' "$url/config"
}

start() {
  if own_pid "$REGISTRY_STATE/pid" "$app" >/dev/null; then return; fi
  need curl
  install
  use_java "$java"
  if listens "$REGISTRY_PORT"; then die "port $REGISTRY_PORT is in use"; fi
  mkdir -p "$REGISTRY_STATE"
  launch
  await_server 90 'the registry' "$REGISTRY_STATE/pid" "$app" curl -fsS -o /dev/null "$url/subjects"
  check_compatibility
}

stop() { end_own "$REGISTRY_STATE/pid" "$app"; }

case ${1:-} in
  install | start | stop) "$1" ;;
  url) echo "$url" ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
