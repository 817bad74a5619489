# Container images without a registry: a root of a static busybox or of unpacked
# Debian packages, given to `docker import`. Sourced by the builders beside it.
#
# Each image carries a label with the hash of what it was made from, so a builder
# run again does nothing, and one whose sources changed builds anew under the
# same name. Every builder prints one line on stdout: the image's name.
#
#   FORCE=1   builds even when the image is up to date
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$REPO/scripts/lib/packages.sh"

IMAGES_CACHE=$CACHE/images
LABEL=manman.fixture

# Begins the image NAME, made from its builder and the FILES: ends the script if
# it is already there, else sets ROOT to an empty directory that goes away with
# the script. Only one builder of a name runs at a time.
image_begin() {
  local name=$1; shift
  IMAGE=manman-fixture/$name:1
  RECIPE=$(cat "$0" "${BASH_SOURCE[0]}" "$@" | sha256sum | cut -c1-16)
  image_exists && { echo "$IMAGE"; exit 0; }
  take_lock "image-$name"
  image_exists && { echo "$IMAGE"; exit 0; }
  BEGUN=$SECONDS
  say "building $IMAGE"
  mkdir -p "$IMAGES_CACHE/debs"
  WORK=$(mktemp -d "$IMAGES_CACHE/work.XXXXXX")
  trap 'rm -rf "$WORK"' EXIT
  ROOT=$WORK/root STAGE=$WORK/stage
  mkdir -p "$ROOT" "$STAGE"
}

image_exists() {
  [ "${FORCE:-0}" != 1 ] &&
    [ "$(docker image inspect -f "{{index .Config.Labels \"$LABEL\"}}" "$IMAGE" 2>/dev/null)" = "$RECIPE" ]
}

# Imports ROOT with these Dockerfile instructions. `docker import` of 20.10 takes
# no STOPSIGNAL; that one is set when a container is created.
image_end() {
  local change old args=()
  old=$(docker image inspect -f '{{.Id}}' "$IMAGE" 2>/dev/null || true)
  for change in "$@" "LABEL $LABEL=$RECIPE"; do args+=(--change "$change"); done
  # The same input gives the same layer, whoever builds it.
  tar -C "$ROOT" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -c . |
    docker import "${args[@]}" - "$IMAGE" >/dev/null
  # Its predecessor has lost its name; a container still made from it keeps it.
  [ -z "$old" ] || docker image rm "$old" >/dev/null 2>&1 || true
  say "$IMAGE: $(docker image inspect -f '{{.Size}}' "$IMAGE" | awk '{printf "%.1f MB", $1/1e6}') in $((SECONDS - BEGUN)) s"
  echo "$IMAGE"
}

# Lays out ROOT as a small system: busybox for a userland, the user game (1000).
with_busybox() {
  local applet
  mkdir -p "$ROOT"/{usr/bin,usr/sbin,usr/lib,usr/lib64,etc,tmp,proc,sys,dev,run,data}
  for applet in bin sbin lib lib64; do ln -s "usr/$applet" "$ROOT/$applet"; done
  # Whoever runs the image owns what it writes: tar makes everything root's.
  chmod 1777 "$ROOT/tmp"; chmod 0777 "$ROOT/data"
  printf 'root:x:0:0:root:/root:/bin/sh\ngame:x:1000:1000:game:/data:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$ROOT/etc/passwd"
  printf 'root:x:0:\ngame:x:1000:\nnogroup:x:65534:\n' >"$ROOT/etc/group"
  printf 'hosts: files dns\npasswd: files\ngroup: files\n' >"$ROOT/etc/nsswitch.conf"
  fetch_packages busybox-static
  dpkg-deb --fsys-tarfile "$(deb_of busybox-static)" | tar -xO ./bin/busybox >"$ROOT/usr/bin/busybox"
  chmod 0755 "$ROOT/usr/bin/busybox"
  for applet in $("$ROOT/usr/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$ROOT/usr/bin/$applet"
  done
}
