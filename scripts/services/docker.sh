#!/usr/bin/env bash
# The same servers from a Docker engine.
#
#   docker.sh start NAME | stop NAME      NAME: kafka, registry, postgres or mariadb
#
# Environment: as in kafka.sh, registry.sh, postgres.sh and mariadb.sh; SERVICES_RUN names this run's containers.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${SERVICES_RUN:?names the containers}"

run() {
  local name=$1
  shift
  docker run -d --rm --name "millrace-$SERVICES_RUN-$name" "$@" >/dev/null
}

wait_for() {
  local what=$1 second
  shift
  for ((second = 0; second < 120; second++)); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 1
  done
  die "$what does not serve after 120 s; see docker logs millrace-$SERVICES_RUN-$what"
}

# Configured as the native one; users of SCRAM are made with the data folder.
start_kafka() {
  KAFKA_SEEN_AS=/millrace KAFKA_DATA=/tmp/kafka KAFKA_LISTEN=0.0.0.0 "$here/kafka.sh" prepare
  chmod -R a+rX "$KAFKA_STATE"
  # shellcheck disable=SC2016 # expanded in the container
  run kafka -p "127.0.0.1:$KAFKA_PORT:$KAFKA_PORT" -p "127.0.0.1:$KAFKA_SASL_PORT:$KAFKA_SASL_PORT" \
    -v "$KAFKA_STATE:/millrace:ro" -e KAFKA_USER -e KAFKA_PASSWORD --entrypoint bash "apache/kafka:${KAFKA_VERSION:-4.3.1}" -c '
      cd /opt/kafka/bin && ./kafka-storage.sh format -t "$(./kafka-storage.sh random-uuid)" -c /millrace/server.properties \
        --add-scram "SCRAM-SHA-256=[name=$KAFKA_USER,password=$KAFKA_PASSWORD]" \
        --add-scram "SCRAM-SHA-512=[name=$KAFKA_USER,password=$KAFKA_PASSWORD]" && exec ./kafka-server-start.sh /millrace/server.properties'
  wait_for kafka docker exec "millrace-$SERVICES_RUN-kafka" /opt/kafka/bin/kafka-topics.sh --bootstrap-server "127.0.0.1:$KAFKA_PORT" --list
}

start_registry() {
  run registry -p "127.0.0.1:$REGISTRY_PORT:8080" apicurio/apicurio-registry:3.0.9
  wait_for registry curl -fsS "http://127.0.0.1:$REGISTRY_PORT/apis/ccompat/v7/subjects"
  curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/json' -d '{"compatibility":"BACKWARD"}' "http://127.0.0.1:$REGISTRY_PORT/apis/ccompat/v7/config"
}

start_postgres() {
  run postgres -p "127.0.0.1:$POSTGRES_PORT:5432" -e POSTGRES_PASSWORD="$POSTGRES_PASSWORD" postgres:17 -c max_connections=200 -c fsync=off \
    -c wal_level=logical -c max_replication_slots=50 -c max_wal_senders=50
  wait_for postgres docker exec "millrace-$SERVICES_RUN-postgres" pg_isready -h 127.0.0.1 -U postgres
}

start_mariadb() {
  run mariadb -p "127.0.0.1:$MARIADB_PORT:3306" -e MARIADB_ROOT_PASSWORD="$MARIADB_PASSWORD" -e MARIADB_DATABASE=millrace mariadb:10.11 \
    --default-time-zone=+05:30 --character-set-server=utf8mb4 --max-connections=200
  wait_for mariadb docker exec "millrace-$SERVICES_RUN-mariadb" mariadb-admin -h 127.0.0.1 -uroot "-p$MARIADB_PASSWORD" ping
}

case ${1:-}-${2:-} in
  start-kafka | start-registry | start-postgres | start-mariadb) "start_$2" ;;
  stop-kafka | stop-registry | stop-postgres | stop-mariadb) docker rm -f "millrace-$SERVICES_RUN-$2" >/dev/null ;;
  *) sed -n '2,6p' "$0"; exit 2 ;;
esac
