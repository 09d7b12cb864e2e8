# SPDX-License-Identifier: Apache-2.0
# For scripts that test packages: source it after setting `work`, a folder.

# check TEXT COMMAND...: prints one line if the command succeeds; else prints its output and exits.
check() {
  local what=$1
  shift
  if "$@" >"$work/log" 2>&1; then
    echo "ok: $what"
  else
    cat "$work/log" >&2
    echo "FAILED: $what: $*" >&2
    exit 1
  fi
}
