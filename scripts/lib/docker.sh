# A Docker Engine to test against. Sourced after common.sh and packages.sh.
#
# One that already answers is used and never stopped. Otherwise the Debian
# package is installed and started: by systemd where that runs, else by hand
# (where /usr/sbin/policy-rc.d forbids it, apt starts no daemon).

# The default socket, unless the caller points the client elsewhere.
docker_answers() { timeout 10 docker info >/dev/null 2>&1; }

docker_install() {
  install_missing "the Docker Engine" dockerd=docker.io iptables=iptables ip=iproute2 ps=procps
  # From Debian 13 on the client is a package of its own.
  install_missing "the Docker client" docker=docker-cli
}

# The pid of the daemon we started by hand, if it still is that daemon.
docker_own_pid() {
  local pid
  pid=$(cat "$STATE/dockerd.pid" 2>/dev/null) || return 1
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && echo "$pid"
}

# What a daemon wrote down that is gone, as after a machine that lost its power: by another
# process of that number the next one would take it for running.
docker_forget_dead() {
  local name file pid
  for name in dockerd=/var/run/docker.pid containerd=/run/docker/containerd/containerd.pid; do
    file=${name#*=}
    pid=$(as_root cat "$file" 2>/dev/null) || continue
    [ "$(as_root cat "/proc/$pid/comm" 2>/dev/null)" = "${name%%=*}" ] || as_root rm -f "$file"
  done
}

docker_start_by_hand() {
  local group=()
  # A caller with sudo has to reach the socket of a daemon that runs as root.
  [ "$(id -u)" = 0 ] || group=(--group "$(id -gn)")
  docker_forget_dead
  say "starting dockerd by hand, log in $STATE/dockerd.log"
  # A session of its own: neither Ctrl-C here nor the end of a terminal reaches
  # it. The shell in between writes the pid and becomes the daemon.
  as_root setsid sh -c 'echo $$ >"$0/dockerd.pid"; exec "$@" >>"$0/dockerd.log" 2>&1' "$STATE" \
    dockerd --live-restore "${group[@]}" </dev/null >/dev/null 2>&1 7>&- 9>&- &
  if ! wait_until 60 docker_answers; then
    tail -n 20 "$STATE/dockerd.log" >&2
    die "dockerd did not answer within 60 s; the end of $STATE/dockerd.log stands above"
  fi
}

# Makes sure an engine answers.
docker_up() {
  if command -v docker >/dev/null 2>&1 && docker_answers; then
    say "using the Docker Engine that answers ($(docker version -f '{{.Server.Version}}, API {{.Server.APIVersion}}'))"
    return 0
  fi
  take_lock docker
  docker_install
  # Somebody else may have started it while we waited for the lock, and apt may have.
  if ! wait_until 3 docker_answers; then
    can_be_root || die "no Docker Engine answers and only root may start one: run this as root, or start it"
    if [ -d /run/systemd/system ]; then
      as_root systemctl start docker
      wait_until 60 docker_answers ||
        die "docker.service runs but does not answer $(id -un): add the user to the group docker, or run this as root"
      touch "$STATE/docker.by-systemd"
    else
      docker_start_by_hand
    fi
  fi
  exec 9>&-
  say "Docker Engine $(docker version -f '{{.Server.Version}}, API {{.Server.APIVersion}}') answers"
}

# Stops the engine if we started it. With --live-restore games outlive their
# engine, so containers that still run are a reason not to.
docker_down() {
  take_lock docker
  local pid
  if [ -e "$STATE/docker.by-systemd" ]; then
    docker_must_be_empty "$@"
    as_root systemctl stop docker.service docker.socket
    rm -f "$STATE/docker.by-systemd"
    say "docker.service stopped"
  elif pid=$(docker_own_pid); then
    docker_must_be_empty "$@"
    as_root kill -TERM "$pid"
    wait_until 60 test ! -d "/proc/$pid" || die "dockerd $pid did not end within 60 s of SIGTERM"
    as_root rm -f "$STATE/dockerd.pid"
    say "dockerd $pid stopped"
  else
    say "no Docker Engine of ours runs; nothing to stop"
  fi
  exec 9>&-
}

docker_must_be_empty() {
  local running
  running=$(docker ps -q | tr '\n' ' ')
  [ -n "$running" ] || return 0
  [ "${1:-}" = --force ] ||
    die "containers still run and would go on without an engine: $running(--force removes them)"
  docker rm -f -v $running >/dev/null
}
