# Known vulnerabilities, where the tool and its database can be had. Sourced
# after parts.sh.

advisories() {
  if ! cargo deny --version >/dev/null 2>&1; then
    not_made "advisories: cargo-deny is not installed"
  elif ! timeout 120 cargo deny fetch db >/dev/null 2>&1; then
    not_made "advisories: the database could not be fetched"
  else
    part "advisories" cargo deny check advisories || true
  fi
}
