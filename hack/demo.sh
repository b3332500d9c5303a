#!/usr/bin/env bash
# The demo: hack/demo.sh up|down. `up` starts a local Kubernetes, installs PopService, delivers a message and fetches it. It may be
# run again at any time, also after it was cut off; `down` takes all of it away.
set -euo pipefail
cd "$(dirname "$0")/.."

namespace=demo
alice="alice's example password" # as in config/samples
running=                         # the id of a step's command

say() { echo "demo: $*"; }

fail() {
  echo "demo: $*" >&2
  exit 1
}

# step TEXT COMMAND… runs something long. What it prints is shown when it fails.
step() {
  local text=$1 start=$SECONDS told=0
  shift
  say "$text …"
  "$@" >"$log" 2>&1 &
  running=$!
  while kill -0 "$running" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - start >= told + 15)); then
      told=$((SECONDS - start))
      say "$text, ${told}s"
    fi
  done
  if ! wait "$running"; then
    running=
    cat "$log" >&2
    fail "$text: failed; what it said is above. Run 'make demo' again, or 'make demo-down' to clean up"
  fi
  running=
}

# tidy ends what a step has left running: what is started in the background does not hear of Ctrl-C.
tidy() {
  [ -z "$running" ] || kill "$running" 2>/dev/null || true
  rm -f "$log"
}

check_machine() {
  [ "$(uname -s)" = Linux ] || fail "the demo runs a Kubernetes node, which needs Linux. README.md tells how to install PopService on a cluster"
  [ "$(id -u)" -eq 0 ] || fail "a Kubernetes node needs root, for namespaces, mounts and cgroups: run 'sudo make demo'"
  local program
  for program in go make; do
    command -v "$program" >/dev/null || fail "$program is not there: install it first"
  done
}

# uses_other_cluster tells whether KUBECONFIG names a cluster that is not the demo's: `up` advises to set it to that.
uses_other_cluster() {
  local own=${POPSERVICE_CLUSTER_STATE:-/var/lib/popservice-cluster}/${POPSERVICE_CLUSTER:-popservice}/kubeconfig
  [ -n "${KUBECONFIG:-}" ] && [ "$KUBECONFIG" != "$own" ]
}

# explain_existing_cluster tells what to do with a cluster of one's own: the demo's images are in no registry.
explain_existing_cluster() {
  cat >&2 <<TEXT
demo: KUBECONFIG is set, to $KUBECONFIG.
The demo runs on a local cluster of its own and leaves yours alone. To start it: KUBECONFIG= make demo

To install PopService on your cluster, its nodes must be able to pull two images. Build and push them, then use Helm:

  docker build --target manager -t REGISTRY/popservice/manager:0.1.0 .
  docker build --target pop3d   -t REGISTRY/popservice/pop3d:0.1.0 .
  docker push REGISTRY/popservice/manager:0.1.0
  docker push REGISTRY/popservice/pop3d:0.1.0
  helm upgrade --install popservice charts/popservice --namespace popservice-system --create-namespace \\
    --set image.repository=REGISTRY/popservice/manager --set serverImage.repository=REGISTRY/popservice/pop3d

README.md goes on from there.
TEXT
  exit 1
}

start_cluster() {
  hack/packages.sh curl python3 openssl
  step "building the tool that runs the local cluster" go build -o bin/cluster ./hack/cluster
  say "starting the local cluster; the first time, Kubernetes is built from its Go modules: some ten minutes on two cores"
  bin/cluster up
  KUBECONFIG=$(bin/cluster kubeconfig)
  PATH="$(bin/cluster bin):$PATH"
  export KUBECONFIG PATH
  files=$(dirname "$KUBECONFIG")/demo # goes with the cluster
  mkdir -p "$files"
}

# install_operator gives images tags that change with the programs, so that a second run runs what was built last.
install_operator() {
  step "building the operator and the server" make --no-print-directory build
  local manager pop3d
  manager=demo-$(sha256sum <bin/manager | cut -c 1-12)
  pop3d=demo-$(sha256sum <bin/pop3d | cut -c 1-12)
  step "loading their images" \
    bin/cluster load "popservice/manager:$manager=bin/manager" "popservice/pop3d:$pop3d=bin/pop3d"
  forget_cut_off_install
  step "installing the chart, and waiting for the operator to run" \
    helm upgrade --install popservice charts/popservice --namespace popservice-system --create-namespace \
    --set image.tag="$manager",serverImage.tag="$pop3d" --wait --timeout 3m
}

# forget_cut_off_install: Helm refuses to go on where it was killed. Mailboxes, servers and mail stay.
forget_cut_off_install() {
  local status
  status=$(helm status popservice --namespace popservice-system --output json 2>/dev/null) || return 0
  if ! grep -q '"status":"deployed"' <<<"$status"; then
    step "removing an installation that was cut off" helm uninstall popservice --namespace popservice-system --wait
  fi
}

apply_samples() {
  say "applying config/samples in namespace $namespace, where Pod Security admits restricted pods only"
  kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  kubectl label namespace "$namespace" --overwrite pod-security.kubernetes.io/enforce=restricted >/dev/null
  kubectl apply --namespace "$namespace" -f config/samples/ | sed 's/^/  /'
  ip=$(await_address pop)
  lmtp=$(await_address pop-lmtp)
}

# await_address waits for a Service and prints its address.
await_address() {
  local address
  for _ in {1..300}; do
    address=$(kubectl get service "$1" --namespace "$namespace" --ignore-not-found -o jsonpath='{.spec.clusterIP}')
    if [ -n "$address" ]; then
      echo "$address"
      return
    fi
    sleep 0.2
  done
  fail "waited a minute for the operator to make Service $1; see: kubectl describe pop pop --namespace $namespace"
}

# make_certificate keeps the one of an earlier run where it still fits.
make_certificate() {
  local served
  served=$(kubectl get secret pop-tls --namespace "$namespace" --ignore-not-found -o jsonpath='{.data.tls\.crt}' | base64 -d)
  if [ -s "$files/tls.crt" ] && [ "$served" = "$(cat "$files/tls.crt")" ] &&
    openssl x509 -in "$files/tls.crt" -noout -checkend 86400 >/dev/null &&
    openssl x509 -in "$files/tls.crt" -noout -checkip "$ip" | grep -q 'does match'; then
    return
  fi
  say "making a certificate for pop.$namespace.svc and $ip, and an authority that signs it"
  export SAN="DNS:pop.$namespace.svc,IP:$ip"
  issue authority -subj "/CN=PopService demo authority" -keyout "$files/ca.key" -out "$files/ca.crt"
  issue server -subj "/CN=pop.$namespace.svc" -keyout "$files/tls.key" -out "$files/tls.crt" -CA "$files/ca.crt" -CAkey "$files/ca.key"
  kubectl create secret tls pop-tls --namespace "$namespace" --cert="$files/tls.crt" --key="$files/tls.key" --dry-run=client -o yaml |
    kubectl apply -f - | sed 's/^/  /'
}

issue() {
  local extensions=$1
  shift
  openssl req -x509 -config hack/demo/openssl.cnf -extensions "$extensions" -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
    -nodes -days 30 "$@" 2>"$log" || { cat "$log" >&2; fail "openssl failed"; }
}

# await_ready shows what is awaited and why it is not there yet.
await_ready() {
  local start=$SECONDS seen="" missing
  say "waiting until PopService and Mailboxes are Ready"
  while missing=$(not_ready) && [ -n "$missing" ]; do
    if [ "$missing" != "$seen" ]; then
      seen=$missing
      sed "s/^/  $((SECONDS - start))s /" <<<"$missing"
    fi
    if ((SECONDS - start > 180)); then
      kubectl describe pop,mbx,pods --namespace "$namespace" >&2
      fail "after three minutes not everything is Ready; what there is stands above"
    fi
    sleep 0.5
  done
  kubectl get pop,mbx --namespace "$namespace" | sed 's/^/  /'
}

not_ready() { conditions | grep -v ': Ready=True' || true; }

# conditions prints a line for each object: its kind and name, whether it is ready, and why not.
conditions() {
  local ready='.status.conditions[?(@.type=="Ready")]'
  kubectl get pop,mbx --namespace "$namespace" -o jsonpath="{range .items[*]}{.kind} {.metadata.name}: Ready={$ready.status} \
{$ready.reason}: {$ready.message}{\"\n\"}{end}"
}

# await_reachable: a Service leads to a new server a moment after that is ready.
await_reachable() {
  local try
  for try in {1..100}; do
    if bin/cluster exec -- timeout 2 bash -c "exec 3<>/dev/tcp/$lmtp/2424 4<>/dev/tcp/$ip/995" 2>"$log"; then
      return
    fi
    sleep 0.2
  done
  cat "$log" >&2
  fail "the Services of PopService pop lead nowhere, after $try tries"
}

deliver() {
  say "delivering a message over LMTP to $lmtp, port 2424"
  bin/cluster exec -- python3 hack/demo/deliver.py "$lmtp" 2424 alice@example.com "Hello from the demo at $(date +%T)" | sed 's/^/  /'
}

fetch() {
  local url=pop3s://pop.$namespace.svc messages
  local curl=(bin/cluster exec -- curl --silent --show-error --cacert "$files/ca.crt" --resolve "pop.$namespace.svc:995:$ip"
    --user "alice@example.com:$alice")
  # Tried again where an earlier run's password was still in force.
  messages=$("${curl[@]}" --retry 3 --retry-all-errors "$url/" | grep -c '[0-9]')
  say "fetching message $messages by curl, over POP3 with TLS:"
  "${curl[@]}" "$url/$messages" | sed 's/^/  | /'
  say "fetching it by Python's poplib:"
  bin/cluster exec -- python3 hack/demo/fetch.py "$ip" "$files/ca.crt" alice@example.com "$alice" | sed 's/^/  | /'
}

# explain prints commands that work when they are pasted.
explain() {
  local variable chosen=""
  for variable in POPSERVICE_CLUSTER POPSERVICE_CLUSTER_STATE POPSERVICE_CACHE; do
    [ -z "${!variable:-}" ] || chosen+=" $variable=${!variable}"
  done
  cat <<TEXT

demo: it works. To do it by hand, as root in $PWD:

  export$chosen KUBECONFIG=$KUBECONFIG
  export PATH="\$(go run ./hack/cluster bin):\$PATH" CA=$files/ca.crt
  kubectl get pop,mbx --namespace $namespace

  # Addresses of Services are reached inside the cluster's network. Deliver a message, and fetch message 1:
  go run ./hack/cluster exec -- python3 hack/demo/deliver.py $lmtp 2424 alice@example.com "By hand"
  go run ./hack/cluster exec -- curl -sS --cacert "\$CA" --resolve pop.$namespace.svc:995:$ip \\
    --user "alice@example.com:$alice" pop3s://pop.$namespace.svc/1

  # The same by STLS on port 110, and the newest message by Python's poplib:
  go run ./hack/cluster exec -- curl -sS --ssl-reqd --cacert "\$CA" --resolve pop.$namespace.svc:110:$ip \\
    --user "alice@example.com:$alice" pop3://pop.$namespace.svc/1
  go run ./hack/cluster exec -- python3 hack/demo/fetch.py $ip "\$CA" alice@example.com "$alice"

  # Change the password: within seconds the new one is taken and the old one is not, without a restart.
  kubectl create secret generic alice --namespace $namespace --from-literal=password=secret --dry-run=client -o yaml |
    kubectl apply -f -

  make demo-down   # stop it, and leave nothing behind
TEXT
}

up() {
  check_machine
  if uses_other_cluster; then explain_existing_cluster; fi
  log=$(mktemp)
  trap tidy EXIT
  trap 'exit 130' INT TERM
  start_cluster
  install_operator
  apply_samples
  make_certificate
  await_ready
  await_reachable
  deliver
  fetch
  explain
}

down() {
  check_machine
  say "stopping the local cluster and removing its files …"
  go run ./hack/cluster down --purge
  say "done. Built programs stay in the cache, so that the next start is quick"
}

case "${1:-}" in
  up | down) "$1" ;;
  *) echo "usage: hack/demo.sh up|down" >&2; exit 2 ;;
esac
