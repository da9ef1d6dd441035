#!/usr/bin/env bash
# Apache Kafka (KRaft, one node) from Maven Central, for tests. Needs java >= 17 and mvn.
#
#   kafka.sh install     fetch the jars (once)
#   kafka.sh start       start it and wait until it serves; the data of an earlier start is kept
#   kafka.sh stop        end it
#   kafka.sh libs        print the folder of the jars
#   kafka.sh tool CLASS ARGS...   run one of Kafka's tools
#   kafka.sh prepare     only write certificates and configuration, for a broker that runs elsewhere: it sees the state's
#                        folder as KAFKA_SEEN_AS, keeps its data in KAFKA_DATA and listens on KAFKA_LISTEN
#
# Environment: KAFKA_PORT (plaintext) KAFKA_SASL_PORT (SASL_SSL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512)
#   KAFKA_CONTROLLER_PORT KAFKA_USER KAFKA_PASSWORD KAFKA_HEAP KAFKA_VERSION KAFKA_STATE
#   KAFKA_GUEST KAFKA_GUEST_PASSWORD (by PLAIN): a user that may do what was given to it by name, while all others may do everything
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${KAFKA_VERSION:=4.3.1}" "${KAFKA_STATE:=$SERVICES_STATE/kafka}" "${KAFKA_HEAP:=512m}"
: "${KAFKA_PORT:=19092}" "${KAFKA_SASL_PORT:=19292}" "${KAFKA_CONTROLLER_PORT:=19192}"
: "${KAFKA_USER:=alice}" "${KAFKA_PASSWORD:=alice-secret}" "${KAFKA_GUEST:=bob}" "${KAFKA_GUEST_PASSWORD:=bob-secret}"
libs=$SERVICES_CACHE/kafka/libs-$KAFKA_VERSION
config=$KAFKA_STATE/server.properties
: "${KAFKA_SEEN_AS:=$KAFKA_STATE}" "${KAFKA_DATA:=$KAFKA_STATE/data}" "${KAFKA_LISTEN:=127.0.0.1}"

install() {
  fetch_jars "$here/kafka-pom.xml" "$libs" -Dkafka.version="$KAFKA_VERSION"
  jars_are_complete "$here/kafka-pom.xml" "$libs"
}

tool() {
  install
  use_java 17
  java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$libs/*" "$@"
}

# An authority of our own and one certificate for localhost, all in PEM.
make_certificates() {
  local tls=$KAFKA_STATE/tls
  if [ -f "$tls/server.pem" ]; then return; fi
  need openssl
  mkdir -p "$tls"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Millrace test authority" -keyout "$tls/ca.key" -out "$tls/ca.crt" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$tls/server.key" -out "$tls/server.csr" 2>/dev/null
  openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial -days 3650 -out "$tls/server.crt" \
    -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") 2>/dev/null
  cat "$tls/server.key" "$tls/server.crt" "$tls/ca.crt" >"$tls/server.pem"
  chmod 600 "$tls"/*.key "$tls/server.pem"
}

# Topics are not made by asking for them: a missing topic must be seen as missing. Retention takes nothing: records of tests have the
# time of their event, which may be years ago, and the look at it every five minutes would come between a test and its records.
write_config() {
  local login=org.apache.kafka.common.security
  cat >"$config" <<X
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
listeners=PLAINTEXT://$KAFKA_LISTEN:$KAFKA_PORT,SASL_SSL://$KAFKA_LISTEN:$KAFKA_SASL_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,SASL_SSL://127.0.0.1:$KAFKA_SASL_PORT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$KAFKA_DATA
auto.create.topics.enable=false
log.retention.ms=-1
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:$KAFKA_USER
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=2
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
background.threads=4
log.cleaner.dedupe.buffer.size=16777216
ssl.keystore.type=PEM
ssl.keystore.location=$KAFKA_SEEN_AS/tls/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$KAFKA_SEEN_AS/tls/ca.crt
ssl.client.auth=none
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=$login.plain.PlainLoginModule required user_$KAFKA_USER="$KAFKA_PASSWORD" user_$KAFKA_GUEST="$KAFKA_GUEST_PASSWORD";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=$login.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$login.scram.ScramLoginModule required;
X
  log_to "$KAFKA_STATE/server.log" >"$KAFKA_STATE/log4j2.properties"
}

prepare() {
  mkdir -p "$KAFKA_STATE"
  make_certificates
  write_config
}

format() {
  if [ -f "$KAFKA_DATA/meta.properties" ]; then return; fi
  local id
  # Without '-', which as the first character would be taken for an option.
  id=$(head -c16 /dev/urandom | base64 | tr '+/' 'A_' | tr -d =)
  tool kafka.tools.StorageTool format -t "$id" -c "$config" \
    --add-scram "SCRAM-SHA-256=[name=$KAFKA_USER,password=$KAFKA_PASSWORD]" \
    --add-scram "SCRAM-SHA-512=[name=$KAFKA_USER,password=$KAFKA_PASSWORD]" >"$KAFKA_STATE/format.log" 2>&1 ||
    { cat "$KAFKA_STATE/format.log" >&2; die "Kafka's data folder can't be made"; }
}

# A class path in a stable order, so that the archive of loaded classes fits; it halves the start.
class_path() { printf '%s:' "$libs"/*.jar; }

launch() {
  local classes=(-XX:ArchiveClassesAtExit="$libs/broker.jsa.$$")
  echo "$libs/broker.jsa.$$" >"$KAFKA_STATE/archive"
  if [ -f "$libs/broker.jsa" ]; then
    classes=(-XX:SharedArchiveFile="$libs/broker.jsa" -Xshare:auto)
    rm "$KAFKA_STATE/archive"
  fi
  setsid java -Xms"$KAFKA_HEAP" -Xmx"$KAFKA_HEAP" "${classes[@]}" -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$KAFKA_STATE/log4j2.properties" -cp "$(class_path)" kafka.Kafka "$config" \
    >"$KAFKA_STATE/stdout.log" 2>&1 </dev/null &
  echo $! >"$KAFKA_STATE/pid"
}

start() {
  if own_pid "$KAFKA_STATE/pid" "$config" >/dev/null; then return; fi
  install
  local port
  for port in "$KAFKA_PORT" "$KAFKA_SASL_PORT" "$KAFKA_CONTROLLER_PORT"; do
    if listens "$port"; then die "port $port is in use"; fi
  done
  rm -f "$KAFKA_STATE/server.log"
  use_java 17
  prepare
  format
  launch
  await_server 90 Kafka "$KAFKA_STATE/pid" "$config" grep -q 'Kafka Server started' "$KAFKA_STATE/server.log"
}

stop() {
  end_own "$KAFKA_STATE/pid" "$config"
  local archive
  if archive=$(cat "$KAFKA_STATE/archive" 2>/dev/null) && [ -f "$archive" ]; then mv "$archive" "$libs/broker.jsa"; fi
  rm -f "$KAFKA_STATE/archive"
}

case ${1:-} in
  install | start | stop | prepare) "$1" ;;
  libs) echo "$libs" ;;
  tool) shift; tool "$@" ;;
  *) sed -n '2,15p' "$0"; exit 2 ;;
esac
