# Debian packages as material for images: fetched once into the cache, unpacked,
# and picked from. Nothing is installed on this machine. Sourced after lib.sh.

DEBS=$IMAGES_CACHE/debs
# Where Debian keeps this machine's libraries and its loader.
case $(uname -m) in
  aarch64) TRIPLET=aarch64-linux-gnu LOADER=lib/ld-linux-aarch64.so.1 ;;
  *)       TRIPLET=x86_64-linux-gnu  LOADER=lib64/ld-linux-x86-64.so.2 ;;
esac

# The cached file of a package: the newest, if several releases were fetched.
deb_of() { ls -t "$DEBS/${1%%:*}"_*.deb 2>/dev/null | head -n 1; }

# Fetches those packages that the cache does not hold.
fetch_packages() {
  local package missing=()
  # Builders run side by side; the cache is one.
  exec 8>"$DEBS/.lock"; flock 8
  for package in "$@"; do [ -n "$(deb_of "$package")" ] || missing+=("$package"); done
  if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null 2>&1 ||
      die "the images are made of Debian packages: apt-get is missing, and so are ${missing[*]} in $DEBS"
    know_packages "${missing[0]}"
    # Whole files only: what is interrupted stays in the partial directory.
    rm -rf "$DEBS/partial"; mkdir "$DEBS/partial"
    # Lists that are old name files that are no longer there.
    download_packages "${missing[@]}" || { update_packages; download_packages "${missing[@]}"; }
    mv "$DEBS/partial"/*.deb "$DEBS/"; rmdir "$DEBS/partial"
  fi
  exec 8>&-
}

download_packages() {
  (cd "$DEBS/partial" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" "$@" >&2) 9>&-
}

# A machine fresh from its image has no package lists yet.
know_packages() {
  apt-cache show "$1" >/dev/null 2>&1 && return 0
  update_packages
}

update_packages() {
  can_be_root || die "apt's lists are missing or old, or its mirror cannot be reached: run first: sudo apt-get update"
  as_root apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
}

# Unpacks packages with all they depend on into STAGE. The closure is resolved
# against an empty system, so it does not depend on what this one has installed;
# left out is what only an installation needs, and what no server loads.
unpack_closure() {
  local dir package packages
  know_packages "$1"
  : >"$WORK/empty-status"
  packages=$(apt-get -o Dir::State::status="$WORK/empty-status" -o APT::Install-Recommends=false \
      -o Debug::NoLocking=1 -s install "$@" 2>/dev/null |
    awk '/^Inst /{ sub(/:.*/, "", $2); print $2 }' |
    grep -Evx 'dpkg|perl-base|debconf|tar|coreutils|bash|dash|systemd.*|libsystemd-shared|adduser|passwd|login|init-system-helpers|debianutils|sed|grep|findutils|diffutils|util-linux.*|mount|lsb-base|sysvinit-utils|python3.*-minimal|ucf|sensible-utils|iso-codes|adwaita-icon-theme|hicolor-icon-theme|mesa-.*|libgl1-mesa-dri|libllvm.*|dbus.*|avahi-daemon')
  [ -n "$packages" ] || die "apt-get could not say what $* need"
  fetch_packages $packages
  mkdir -p "$STAGE"/usr/{bin,sbin,lib,lib64}
  for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$STAGE/$dir"; done
  for package in $packages; do
    dpkg-deb --fsys-tarfile "$(deb_of "$package")" | tar -x --keep-directory-symlink -C "$STAGE"
  done
}

# Every directory of STAGE that holds shared libraries: some live in directories
# of their own, which a RUNPATH or an alternatives link would name.
library_path() {
  printf '%s:%s' "$STAGE/usr/lib/$TRIPLET" "$STAGE/usr/lib"
  find "$STAGE/usr/lib/$TRIPLET" -mindepth 2 -maxdepth 2 -name 'lib*.so*' -printf ':%h\n' | sort -u | tr -d '\n'
}

# Copies a program from STAGE to ROOT with the libraries it loads.
pick_program() {
  local program=$1 library
  mkdir -p "$ROOT/$(dirname "$program")" "$ROOT/usr/lib/$TRIPLET"
  cp -L "$STAGE/$program" "$ROOT/$program"
  "$STAGE/$LOADER" --library-path "$(library_path)" --list "$STAGE/$program" >"$WORK/libraries"
  if grep 'not found' "$WORK/libraries" >&2; then die "$program lacks libraries"; fi
  # Name look-ups are loaded by hand, so the loader does not list them.
  { awk '$2 == "=>" { print $3 }' "$WORK/libraries"
    for library in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2; do
      echo "$STAGE/usr/lib/$TRIPLET/$library"
    done; } |
  while read -r library; do
    [ -e "$library" ] && cp -L -n "$library" "$ROOT/usr/lib/$TRIPLET/"
  done
  cp -L "$STAGE/$LOADER" "$ROOT/$LOADER"
}

# Copies data files or directories from STAGE to ROOT as they are.
pick_data() {
  mkdir -p "$ROOT/$(dirname "$1")"
  cp -a "$STAGE/$1" "$ROOT/$(dirname "$1")/"
}
