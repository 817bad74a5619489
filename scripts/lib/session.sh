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

# What of ours stands on the engine now: containers and networks by label.
engine_inventory() {
  { docker ps -a --filter label=manman.cluster --format 'container {{.Names}}'
    docker network ls --filter label=manman.cluster --format 'network {{.Name}}'; } | sort
}

# Complains about what the tests have left behind: engine_left_behind FILE-FROM-BEFORE
engine_left_behind() {
  local left
  left=$(engine_inventory | comm -13 "$1" -)
  [ -n "$left" ] || return 0
  printf 'left behind on the engine:\n%s\n' "$left"
  # On an engine that others use too, it may be theirs.
  [ ! -e "$ENGINE_FOR_TESTS" ]
}
