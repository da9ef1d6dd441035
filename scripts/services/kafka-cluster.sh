#!/usr/bin/env bash
# A cluster of three Kafka brokers (KRaft, each of them a controller too) from the jars of kafka.sh, for tests of what happens when
# one of them is away: every topic has three replicas, two of which must be in sync. Natively in any case: brokers are killed one by one.
#
#   kafka-cluster.sh start | stop           all brokers; start waits until they serve, and keeps the data of an earlier start
#   kafka-cluster.sh start N | stop N       one broker
#   kafka-cluster.sh kill N                 SIGKILL; its folder stays, `start N` brings it back
#   kafka-cluster.sh pid N                  print its process id; nothing, and status 1, while it is away
#   kafka-cluster.sh brokers [LISTENER]     print the addresses to begin from: direct (default) or proxied
#   kafka-cluster.sh tool CLASS ARGS...     run one of Kafka's tools
#
# Ports: broker N listens on CLUSTER_PORT + N. It also listens on CLUSTER_PORT + 20 + N for clients that come by a proxy: there it says
# that it is at CLUSTER_PORT + 30 + N, which is for the proxy. CLUSTER_PORT + 10 + N is its controller's.
# Environment: CLUSTER_PORT CLUSTER_STATE CLUSTER_HEAP, CLUSTER_PROXIED_HOST (127.0.0.1; the name that clients that come by a proxy know), KAFKA_VERSION as in kafka.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/services/common.sh
. "$here/common.sh"
: "${CLUSTER_PORT:=19500}" "${CLUSTER_STATE:=$SERVICES_STATE/kafka-cluster}" "${CLUSTER_HEAP:=256m}" "${CLUSTER_PROXIED_HOST:=127.0.0.1}"
nodes=(1 2 3)
libs=$("$here/kafka.sh" libs)

folder() { echo "$CLUSTER_STATE/broker-$1"; }
config() { echo "$(folder "$1")/server.properties"; }
proxied() { echo "$CLUSTER_PROXIED_HOST:$((CLUSTER_PORT + 30 + $1))"; }
address() { echo "127.0.0.1:$((CLUSTER_PORT + $1))"; }

brokers() {
  local node list=()
  for node in "${nodes[@]}"; do
    case ${1:-direct} in
      direct) list+=("$(address "$node")") ;;
      proxied) list+=("$(proxied "$node")") ;;
      *) die "no listener $1: direct or proxied" ;;
    esac
  done
  (IFS=,; echo "${list[*]}")
}

voters() {
  local node list=()
  for node in "${nodes[@]}"; do list+=("$node@$(address $((10 + node)))"); done
  (IFS=,; echo "${list[*]}")
}

# Topics are not made by asking for them, and retention takes nothing, as in kafka.sh.
write_config() {
  local node=$1
  cat >"$(config "$node")" <<X
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$(voters)
listeners=PLAINTEXT://$(address "$node"),PROXIED://$(address $((20 + node))),CONTROLLER://$(address $((10 + node)))
advertised.listeners=PLAINTEXT://$(address "$node"),PROXIED://$(proxied "$node")
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$(folder "$node")/data
auto.create.topics.enable=false
log.retention.ms=-1
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
share.coordinator.state.topic.num.partitions=2
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
X
  log_to "$(folder "$node")/server.log" >"$(folder "$node")/log4j2.properties"
}

# The three data folders have one cluster id.
format() {
  local node=$1 data
  data=$(folder "$node")/data
  if [ -f "$data/meta.properties" ]; then return; fi
  "$here/kafka.sh" tool kafka.tools.StorageTool format -t "$(cat "$CLUSTER_STATE/id")" -c "$(config "$node")" >"$(folder "$node")/format.log" 2>&1 ||
    { cat "$(folder "$node")/format.log" >&2; die "the data folder of broker $node can't be made"; }
}

prepare() {
  local node pids=() pid
  mkdir -p "$CLUSTER_STATE"
  # Without '-', which as the first character would be taken for an option.
  [ -f "$CLUSTER_STATE/id" ] || head -c16 /dev/urandom | base64 | tr '+/' 'A_' | tr -d = >"$CLUSTER_STATE/id"
  for node in "${nodes[@]}"; do
    mkdir -p "$(folder "$node")"
    write_config "$node"
    format "$node" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
}

launch() {
  local node=$1 folder classes=()
  folder=$(folder "$node")
  if [ -f "$libs/broker.jsa" ]; then classes=(-XX:SharedArchiveFile="$libs/broker.jsa" -Xshare:auto); fi
  rm -f "$folder/server.log"
  # Brokers that are killed every minute would spend most of their lives in the second compiler.
  setsid java -Xms"$CLUSTER_HEAP" -Xmx"$CLUSTER_HEAP" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${classes[@]}" -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$folder/log4j2.properties" -cp "$(printf '%s:' "$libs"/*.jar)" kafka.Kafka "$(config "$node")" \
    >>"$folder/stdout.log" 2>&1 </dev/null &
  echo $! >"$folder/pid"
}

pid() { own_pid "$(folder "$1")/pid" "$(config "$1")"; }

serves() { grep -q 'Kafka Server started' "$(folder "$1")/server.log"; }

# A broker that is alone serves when it has found another controller, so the first of three is not waited for before the others are launched.
await() { await_server 120 "broker $1" "$(folder "$1")/pid" "$(config "$1")" serves "$1"; }

start() {
  local node
  use_java 17
  if [ ! -f "$(config "${nodes[-1]}")" ]; then
    "$here/kafka.sh" install
    prepare
  fi
  for node in "$@"; do
    if pid "$node" >/dev/null; then continue; fi
    if listens $((CLUSTER_PORT + node)); then die "port $((CLUSTER_PORT + node)) is in use"; fi
    launch "$node"
  done
  for node in "$@"; do await "$node"; done
}

# All at once: a broker's shutdown asks the controllers to move its leaders, and the last ones have nobody left to ask.
stop() {
  local node
  for node in "$@"; do end_own "$(folder "$node")/pid" "$(config "$node")" & done
  wait
}

kill_broker() {
  local pid
  pid=$(pid "$1") || return 0
  kill -9 "$pid"
  while [ -d "/proc/$pid" ]; do sleep 0.05; done
}

one() { case ${1:-} in 1 | 2 | 3) ;; *) die "which broker? 1, 2 or 3" ;; esac; }

case ${1:-} in
  start | stop)
    if [ $# = 1 ]; then "$1" "${nodes[@]}"; else one "$2"; "$1" "$2"; fi
    ;;
  kill) one "${2:-}"; kill_broker "$2" ;;
  pid) one "${2:-}"; pid "$2" ;;
  brokers) brokers "${2:-direct}" ;;
  tool) shift; "$here/kafka.sh" tool "$@" ;;
  *) sed -n '2,15p' "$0"; exit 2 ;;
esac
