# What builds and tests need of the machine. Sourced after packages.sh.

machine_ready() {
  rust_ready
  install_missing "the build" cc=gcc
  # What has no command to look for: the C library's headers, and the authorities
  # that cargo trusts.
  [ -e /usr/include/stdlib.h ] || install_missing "the build" no-such-command=libc6-dev
  [ -e "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ] ||
    install_missing "downloads" no-such-command=ca-certificates
  install_missing "the tests of consoles" tmux=tmux
  install_missing "the test of the unit" systemd-analyze=systemd
  install_missing "the tests of plain processes" setpriv=util-linux unshare=util-linux ps=procps
}

rust_ready() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' "$REPO/Cargo.toml")
  command -v cargo >/dev/null 2>&1 ||
    die "missing: Rust $wanted or later (https://rustup.rs; Debian's own is older)"
  found=$(cd "$REPO" && rustc --version | awk '{print $2}')
  [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
    die "Rust $found is too old: $wanted is needed (rustup update stable)"
}
