# Words every script here shares. Sourced, never run.
#
#   MANMAN_STATE   where started services keep their pid, log and lock
#                  (default /var/tmp/manman-services-UID: one for the machine,
#                  because an engine is shared by all working copies)
#   MANMAN_CACHE   where downloads and unpacked packages are kept
#                  (default /var/tmp/manman-cache-UID)
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SCRIPT=$(cd "$(dirname "$0")" && pwd)/${0##*/}
STATE=${MANMAN_STATE:-/var/tmp/manman-services-$(id -u)}
CACHE=${MANMAN_CACHE:-/var/tmp/manman-cache-$(id -u)}
export DEBIAN_FRONTEND=noninteractive
# Where Debian keeps what administrators use, and what su leaves out.
export PATH=$PATH:/usr/sbin:/sbin

# Everything said goes to stderr: stdout belongs to what a script answers.
say() { printf '[%s] %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

# The comment at the head of the script that runs, without its first line.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$SCRIPT"; }

# Runs a command as root: directly, or through a sudo that asks nothing.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() {
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}

mkdir -p "$STATE" "$CACHE" || die "neither MANMAN_STATE ($STATE) nor MANMAN_CACHE ($CACHE) may be missing"

# Takes the lock NAME until this shell ends, on descriptor 9. Daemons started
# meanwhile have to close it (9>&-), or they would hold the lock for ever.
take_lock() {
  exec 9>"$STATE/$1.lock"
  flock 9
}

# Waits until a command succeeds: wait_until SECONDS COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}
