#!/usr/bin/env bash
# Runs the end-to-end tests on a cluster of their own, beside one of the demo. The cluster is a new one, and is stopped at the end,
# whatever happens; its logs stay. Arguments go to `go test`.
set -euo pipefail
cd "$(dirname "$0")/../.."
export POPSERVICE_CLUSTER=popservice-e2e
cluster=$PWD/bin/cluster

finish() {
  local status=$?
  trap - EXIT INT TERM
  if [ "$status" -ne 0 ]; then
    echo "e2e: failed. The cluster's logs:" >&2
    "$cluster" status | grep -E '^(logs|audit log) ' >&2 || true
  fi
  "$cluster" down || status=1
  exit "$status"
}

# Before the tests, for inside the cluster's network there is no way out.
hack/packages.sh postfix doveadm=dovecot-core /usr/lib/dovecot/pop3=dovecot-pop3d \
  curl python3 mpop fetchmail getmail=getmail6 neomutt perl /usr/share/perl5/IO/Socket/SSL.pm=libio-socket-ssl-perl \
  nmap testssl=testssl.sh /usr/sbin/krb5kdc=krb5-kdc /usr/sbin/kadmin.local=krb5-admin-server kinit=krb5-user
/usr/bin/python3 -c 'import gssapi' 2>/dev/null || hack/packages.sh python3-gssapi
go build -o "$cluster" ./hack/cluster
trap finish EXIT
trap 'exit 130' INT TERM
"$cluster" down
"$cluster" up
# Where a test that fails writes what its namespace held: on the screen its own words would drown in it.
POPSERVICE_E2E_LOGS=$("$cluster" status | awk '$1 == "logs" { print $2 }')
export POPSERVICE_E2E_LOGS
make --no-print-directory images CLUSTER="$cluster"
# go test builds outside and runs the tests inside the cluster's network. Tests mostly wait, so more of them run than there are cores.
go test -tags e2e -count=1 -timeout 25m -parallel 12 -v -exec "$cluster exec --" "$@" ./test/e2e
