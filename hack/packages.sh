#!/usr/bin/env bash
# Installs the Debian packages of programs that are not there: hack/packages.sh PROGRAM… A package is named as its program.
set -euo pipefail
missing=()
for program in "$@"; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "these programs are missing and cannot be installed without root and apt-get: ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]} …"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
get=(apt-get -q -o DPkg::Lock::Timeout=300)
install() { "${get[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; }
# The lists of packages are fetched only where they have to be.
if ! install && ! { "${get[@]}" update >>"$log" 2>&1 && install; }; then
  tail -n 20 "$log" >&2
  echo "apt-get could not install ${missing[*]}; its messages are above" >&2
  exit 1
fi
