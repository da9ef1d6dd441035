#!/usr/bin/env bash
# Kafka Connect (one worker) with Debezium's PostgreSQL source and JDBC sink and Apicurio's Avro converter from Maven Central,
# for tests: peers that must be able to read what Millrace writes, and the other way round. Needs java >= 17 and mvn.
#
#   connect.sh install | stop
#   connect.sh start     start it; it serves after some 15 s, which nobody waits for here
#   connect.sh url       print the URL of its REST API
#
# Environment: CONNECT_PORT CONNECT_HEAP CONNECT_STATE, KAFKA_PORT and KAFKA_VERSION as in kafka.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${CONNECT_PORT:=18083}" "${CONNECT_HEAP:=512m}" "${CONNECT_STATE:=$SERVICES_STATE/connect}" "${KAFKA_PORT:=19092}"
plugins=$SERVICES_CACHE/connect
config=$CONNECT_STATE/worker.properties

# What the worker itself has must not be in a plug-in: with a Jackson of its own the JDBC sink ends with "BlackbirdModule not a subtype".
plugin() {
  local name=$1 excluded=kafka-clients,connect-api,connect-json,slf4j-api,lz4-java,snappy-java,zstd-jni
  excluded+=,ojdbc11,mssql-jdbc,mysql-connector-j,mariadb-java-client
  if [ "$name" != apicurio-converter ]; then excluded+=,jackson-core,jackson-databind,jackson-annotations; fi
  fetch_jars "$here/connect-pom.xml" "$plugins/$name" -P "$name" -DexcludeArtifactIds="$excluded"
}

# The converter's jar does not say that it is one; with this beside it Connect need not look into every class of every jar.
say_converter() {
  local manifest=$plugins/apicurio-converter/manifest.jar
  if [ -f "$manifest" ]; then return; fi
  python3 - "$manifest" <<'X'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as jar:
    jar.writestr("META-INF/services/org.apache.kafka.connect.storage.Converter", "io.apicurio.registry.utils.converter.AvroConverter\n")
X
}

install() {
  need python3
  "$here/kafka.sh" install
  local name
  for name in debezium-postgres debezium-jdbc apicurio-converter; do
    plugin "$name"
    if [ "$name" = apicurio-converter ]; then say_converter; fi
    jars_are_complete "$here/connect-pom.xml" "$plugins/$name"
  done
}

write_config() {
  cat >"$config" <<X
bootstrap.servers=127.0.0.1:$KAFKA_PORT
group.id=connect
listeners=http://127.0.0.1:$CONNECT_PORT
plugin.path=$plugins
plugin.discovery=service_load
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
config.storage.topic=_connect_configs
offset.storage.topic=_connect_offsets
status.storage.topic=_connect_status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
offset.flush.interval.ms=5000
connector.client.config.override.policy=All
scheduled.rebalance.max.delay.ms=0
topic.creation.enable=true
X
  log_to "$CONNECT_STATE/connect.log" >"$CONNECT_STATE/log4j2.properties"
}

start() {
  if own_pid "$CONNECT_STATE/pid" "$config" >/dev/null; then return; fi
  install
  if listens "$CONNECT_PORT"; then die "port $CONNECT_PORT is in use"; fi
  use_java 17
  mkdir -p "$CONNECT_STATE"
  write_config
  setsid java -Xms"$CONNECT_HEAP" -Xmx"$CONNECT_HEAP" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
    -Dlog4j2.configurationFile="$CONNECT_STATE/log4j2.properties" -cp "$("$here/kafka.sh" libs)/*" \
    org.apache.kafka.connect.cli.ConnectDistributed "$config" >"$CONNECT_STATE/stdout.log" 2>&1 </dev/null &
  echo $! >"$CONNECT_STATE/pid"
}

case ${1:-} in
  install | start) "$1" ;;
  stop) end_own "$CONNECT_STATE/pid" "$config" ;;
  url) echo "http://127.0.0.1:$CONNECT_PORT" ;;
  *) sed -n '2,9p' "$0"; exit 2 ;;
esac
