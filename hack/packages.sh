#!/usr/bin/env bash
# Installs the Debian packages of programs that are not there: hack/packages.sh PROGRAM[=PACKAGE]… A package is named as its program
# unless it is said otherwise; a path may be that of any file. Services that come with them are not started.
set -euo pipefail
missing=()
for program in "$@"; do
  wanted=${program%%=*}
  command -v "$wanted" >/dev/null || [[ $wanted = /* && -e $wanted ]] || missing+=("${program#*=}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "these packages are missing and cannot be installed without root and apt-get: ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]} …"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
finish=(rm -f "$log")
# Mail servers would take this machine's ports. Where nobody has a policy about services, this is one for as long as it takes.
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  finish+=("$policy")
fi
trap '"${finish[@]}"' EXIT
get=(apt-get -q -o DPkg::Lock::Timeout=300)
install() { "${get[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; }
# The lists of packages are fetched only where they have to be.
if ! install && ! { "${get[@]}" update >>"$log" 2>&1 && install; }; then
  tail -n 20 "$log" >&2
  echo "apt-get could not install ${missing[*]}; its messages are above" >&2
  exit 1
fi
