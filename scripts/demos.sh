# shellcheck shell=bash
# What the demos share; sourced, not run. $pid is millrace while it runs.
: "${folder:?is all that a demo writes}" "${log:?is what millrace says}"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# await WHAT COMMAND...: waits until the command succeeds; for at most two minutes, and only while millrace runs.
await() {
  local what=$1 fifth
  shift
  for ((fifth = 0; fifth < 600; fifth++)); do
    if "$@"; then return; fi
    kill -0 "$pid" 2>/dev/null || { tail -n 20 "$log" >&2; die "millrace ended"; }
    sleep 0.2
  done
  tail -n 20 "$log" >&2
  die "waited two minutes in vain: $what"
}

# Ends millrace.
stop() {
  if [ -n "${pid:-}" ]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" || true
    pid=
  fi
}

# The trap of a demo: removes its $folder, unless something failed.
finish() {
  local status=$?
  trap - EXIT INT TERM
  stop || true
  if [ "$status" = 0 ]; then rm -rf "$folder"; else echo "the log: $log" >&2; fi
  exit "$status"
}

# Whether all pipelines run and the gateway, which listens after health does, takes requests.
ready() {
  curl -fsS -o /dev/null "http://$MILLRACE_ADMIN/health/ready" 2>/dev/null && curl -sS -o /dev/null "http://$MILLRACE_HTTP/" 2>/dev/null
}
