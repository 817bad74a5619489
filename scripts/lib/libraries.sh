# What a program of this machine loads. Sourced after common.sh.

# The libraries of a program, its loader among them; none of a static one.
libraries() {
  local listed; listed=$(ldd "$1" 2>/dev/null) || return 0
  if grep 'not found' <<<"$listed" >&2; then die "$1 lacks libraries on this machine"; fi
  grep -o '/[^ ]*' <<<"$listed" || true
}

# Copies the libraries of a program to where it looks for them: copy_libraries PROGRAM ROOT
copy_libraries() {
  local library
  libraries "$1" | while read -r library; do
    mkdir -p "$2$(dirname "$library")"
    cp -L "$library" "$2$library"
  done
}
