# shellcheck shell=bash
# Phases with a time table at the end; sourced, not run.
#   phase NAME COMMAND ARGS...   runs it, in a subshell; its end is noted, its failure ends the script (that has set -e)
#   trap phase_table EXIT        prints the table, however the script ends
phase_names=()
phase_seconds=()
phase_ends=()

phase() {
  local name=$1 started=$SECONDS status=0
  shift
  echo "== $name"
  # In a shell of its own, and not after a || or in an if: there bash would go on behind a function's failing command.
  set +e
  (set -e && "$@")
  status=$?
  set -e
  phase_names+=("$name")
  phase_seconds+=($((SECONDS - started)))
  if [ "$status" = 0 ]; then phase_ends+=(ok); else phase_ends+=("failed ($status)"); fi
  return "$status"
}

phase_table() {
  local i total=0
  printf '\n%-32s %8s  %s\n' phase seconds end
  for i in "${!phase_names[@]}"; do
    printf '%-32s %8d  %s\n' "${phase_names[i]}" "${phase_seconds[i]}" "${phase_ends[i]}"
    total=$((total + phase_seconds[i]))
  done
  printf '%-32s %8d\n' total "$total"
}
