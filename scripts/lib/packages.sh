# Installing what is missing, on Debian and Ubuntu. Elsewhere the missing parts
# are named and the script ends. Sourced after common.sh.

# Prints the names of those packages whose command is not there:
# missing_packages COMMAND=PACKAGE...
missing_packages() {
  local pair
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || echo "${pair#*=}"
  done
}

# Installs the packages of the commands that are not there.
# install_missing WHAT-FOR COMMAND=PACKAGE...
install_missing() {
  local purpose=$1; shift
  local packages
  packages=$(missing_packages "$@" | sort -u | tr '\n' ' ')
  [ -n "$packages" ] || return 0
  command -v apt-get >/dev/null 2>&1 ||
    die "missing for $purpose: $packages(Debian names). This is no Debian or Ubuntu: install them your own way and run this again"
  can_be_root ||
    die "missing for $purpose: $packages. Run this as root, or first: sudo apt-get install --no-install-recommends $packages"
  say "installing for $purpose: $packages"
  apt_install $packages
}

# Other installers may hold dpkg's lock for a while: wait for it, do not fail. What the packages
# start must not hold ours.
apt_install() {
  local log; log=$(mktemp)
  if ! { as_root apt-get -qq -o DPkg::Lock::Timeout=300 update &&
         as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
           install --no-install-recommends "$@"; } >"$log" 2>&1 7>&- 9>&-; then
    cat "$log" >&2; rm -f "$log"
    die "apt-get could not install: $*"
  fi
  rm -f "$log"
}
