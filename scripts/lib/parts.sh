# A run in parts: a header for each, its time, and a summary at the end.
# Sourced after common.sh.

PARTS_DONE=()
NOT_MADE=()
PARTS_FAILED=0
RUN_BEGUN=$SECONDS

# Runs a command as one part. A part that fails is remembered and the run goes
# on, so that one report holds everything: part NAME COMMAND...
part() {
  local name=$1 begun=$SECONDS outcome=ok; shift
  printf '\n=== %s\n' "$name"
  "$@" || { outcome="FAILED ($?)"; PARTS_FAILED=$((PARTS_FAILED + 1)); }
  PARTS_DONE+=("$(printf '%-34s %8s  %s' "$name" "$(minutes $((SECONDS - begun)))" "$outcome")")
  printf '=== %s: %s after %s\n' "$name" "$outcome" "$(minutes $((SECONDS - begun)))"
  [ "$outcome" = ok ]
}

# A part without which the rest makes no sense.
part_or_end() {
  part "$@" || { parts_summary; exit 1; }
}

# Notes for the summary that a check was not made, and why.
not_made() { NOT_MADE+=("$*"); }

minutes() { printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); }

# Prints the summary; fails if any part did.
parts_summary() {
  printf '\n=== summary (%s)\n' "$(minutes $((SECONDS - RUN_BEGUN)))"
  printf '  %s\n' "${PARTS_DONE[@]}"
  [ ${#NOT_MADE[@]} = 0 ] || printf '  not made: %s\n' "${NOT_MADE[@]}"
  [ "$PARTS_FAILED" = 0 ]
}
