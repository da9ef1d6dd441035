# shellcheck shell=bash
# What the server scripts share; sourced, not run. Downloads stay in $SERVICES_CACHE; data, logs and process ids are
# under $SERVICES_STATE.
: "${SERVICES_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-services}"
: "${SERVICES_STATE:=${TMPDIR:-/tmp}/millrace-services}"
export SERVICES_CACHE SERVICES_STATE

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null || die "$1 is not installed; scripts/setup.sh test installs it"
}

java_major() { "$1" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p'; }

# The first Java of version $1 or later: that of JAVA_HOME, of the PATH, or one of the system's; nothing where there is none.
java_from() {
  local candidate major
  for candidate in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    if [ ! -x "$candidate" ]; then continue; fi
    major=$(java_major "$candidate")
    if [ "${major:-0}" -ge "$1" ]; then readlink -f "$candidate"; return; fi
  done
}

# Makes `java` that of version $1 or later, for this script and what it starts.
use_java() {
  local java
  java=$(java_from "$1")
  [ -n "$java" ] || die "Java $1 is not installed; scripts/setup.sh test installs it"
  PATH=$(dirname "$java"):$PATH
}

# Whether something listens on port $1 of this machine.
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port that nothing listens on, below the range that outgoing connections use.
free_port() {
  local port
  while port=$((20000 + (RANDOM << 1 | RANDOM & 1) % 12000)) && listens "$port"; do :; done
  echo "$port"
}

# The process id in file $1 if that process still is ours: its command line holds $2. Ids are used again.
own_pid() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$2" && echo "$pid"
}

# Ends the process whose id is in file $1 and whose command line holds $2: SIGTERM, and SIGKILL after 20 s.
end_own() {
  local pid tenth
  pid=$(own_pid "$1" "$2") || return 0
  kill "$pid"
  for ((tenth = 0; tenth < 200; tenth++)); do
    [ -d "/proc/$pid" ] || break
    sleep 0.1
  done
  if [ -d "/proc/$pid" ]; then kill -9 "$pid"; fi
  rm -f "$1"
}

# Waits for at most $1 seconds until $2, the server whose process id is in file $3 and whose command line holds $4, serves: until the
# command that follows succeeds. Its logs are beside the file.
await_server() {
  local patience=$1 what=$2 pid=$3 mark=$4 tenth folder
  folder=$(dirname "$pid")
  shift 4
  for ((tenth = 0; tenth < patience * 10; tenth++)); do
    if "$@" 2>/dev/null; then return; fi
    if [ "$tenth" -gt 150 ] && ! own_pid "$pid" "$mark" >/dev/null; then
      tail -n 20 "$folder"/*.log >&2 || true
      die "$what ended while it started; its logs are in $folder"
    fi
    sleep 0.1
  done
  die "$what does not serve after $patience s; its logs are in $folder"
}

# Fetches the jars of the Maven project $1, with what follows as further arguments, into folder $2, once for each state of the files $1 and $0.
fetch_jars() {
  local pom=$1 folder=$2
  shift 2
  if cat "$pom" "$0" | cmp -s - "$folder/.complete"; then return; fi
  need mvn
  rm -rf "$folder"
  mkdir -p "$folder"
  mvn -B -q -ntp -f "$pom" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$folder" "$@" >"$folder.log" 2>&1 ||
    { cat "$folder.log" >&2; die "the jars of $pom can't be fetched"; }
}

# Says that the jars in folder $2 are those of $1, with all that was added to them; at once, and only where it was not said: others may be reading it.
jars_are_complete() {
  if cat "$1" "$0" | cmp -s - "$2/.complete"; then return; fi
  cat "$1" "$0" >"$2/.complete.$$"
  mv -f "$2/.complete.$$" "$2/.complete"
}

# The settings of a Java server that has it log into file $1.
log_to() {
  cat <<X
rootLogger.level = info
rootLogger.appenderRef.f.ref = f
appender.f.type = File
appender.f.name = f
appender.f.fileName = $1
appender.f.append = false
appender.f.layout.type = PatternLayout
appender.f.layout.pattern = [%d] %p %m (%c)%n
X
}

# Independent writers, readers and validators of what Millrace reads and writes, and an object store, for the tests' Python.
# shellcheck disable=SC2034 # used by setup.sh
PYTHON_PACKAGES=('fastavro>=1.9,<2' 'cloudevents>=2,<3' 'openapi-spec-validator>=0.7,<1' 'moto[server,s3]>=5.2,<6'
  'deltalake>=1,<2' 'pyarrow>=20' 'duckdb>=1.2,<3')

# The Python that has them: the system's, or the tests' own.
test_python() {
  local candidate
  for candidate in python3 "$SERVICES_CACHE/python/bin/python"; do
    if "$candidate" -c 'import fastavro, cloudevents.core, openapi_spec_validator, moto.server, deltalake, pyarrow, duckdb' 2>/dev/null; then echo "$candidate"; return; fi
  done
}
