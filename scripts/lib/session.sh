# One test run's hold on the engine. Sourced after docker.sh and parts.sh.
#
# Runs may overlap. Each holds a shared lock; the one that ends last stops the
# engine, if a run started it and nobody ran docker-up since.

ENGINE_FOR_TESTS=$STATE/docker.for-tests

engine_hold() {
  exec 7>"$STATE/docker.users.lock"
  flock -s 7
  trap engine_release EXIT
  trap 'exit 130' INT TERM HUP
  if docker_answers; then
    docker_up
  else
    docker_up && touch "$ENGINE_FOR_TESTS"
  fi
}

engine_release() {
  trap - EXIT
  # Cleaning up is not interrupted half-way.
  trap '' INT TERM HUP
  # Others at work keep their share of the lock; the last of them comes here too.
  if [ -e "$ENGINE_FOR_TESTS" ] && flock -n -x 7; then
    (docker_down --force) && rm -f "$ENGINE_FOR_TESTS"
  fi
  exec 7>&-
}

# What tests made and stands on the engine now: containers and networks by label, but for
# those of an installation that somebody runs beside the tests under its usual name.
engine_inventory() {
  local label
  for label in manman.cluster manman.test; do
    docker ps -a --filter label=$label --format 'container {{.Names}} {{.Label "manman.environment"}}'
    docker network ls --filter label=$label --format 'network {{.Name}} {{.Label "manman.environment"}}'
  done | sed '/ prod$/d' | sort -u
}

# Complains about what the tests have left behind: engine_left_behind FILE-FROM-BEFORE
engine_left_behind() {
  local left
  left=$(engine_inventory | comm -13 "$1" -)
  [ -n "$left" ] || return 0
  printf 'left behind on the engine:\n%s\n' "$left"
  return 1
}
