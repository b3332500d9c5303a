# PopService. `make help` lists what there is to do.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

GO       ?= go
VERSION  ?= dev
BIN      := $(CURDIR)/bin
CLUSTER  := $(GO) run ./hack/cluster
LDFLAGS  := -s -w -X main.version=$(VERSION)
PACKAGES := ./...

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-zA-Z0-9_-]*:.*## / {printf "  %-14s %s\n", $$1, $$2} /^##@/ {printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ Try it
.PHONY: demo demo-down
demo: ## Start a local Kubernetes, install PopService, deliver a message and fetch it (root on Debian)
	@hack/demo.sh up

demo-down: ## Stop the local Kubernetes and leave nothing behind
	@hack/demo.sh down

##@ Build
.PHONY: build images generate
build: ## Build bin/manager and bin/pop3d
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $(BIN)/ ./cmd/manager ./cmd/pop3d

images: build ## Build both images and load them into the local Kubernetes
	$(CLUSTER) load popservice/manager:dev=$(BIN)/manager popservice/pop3d:dev=$(BIN)/pop3d

generate: $(BIN)/controller-gen ## Generate deep copies, apply configurations, CRDs and roles, and bring them into the chart
	$(BIN)/controller-gen object applyconfiguration crd paths=./api/v1alpha1/... output:crd:dir=config/crd
	$(BIN)/controller-gen rbac:roleName=popservice-manager paths=./controllers/... output:rbac:dir=config/rbac
	cp config/crd/popservice.io_*.yaml charts/popservice/files/crds/
	sed -n '/^rules:/,$$p' config/rbac/role.yaml > charts/popservice/files/rules.yaml

##@ Test
.PHONY: test unit manifests differential kerberos envtest e2e chaos lint verify fuzz bench timing
test: ## Set up everything and run all tests, the quick ones first
	@for part in unit lint verify manifests differential kerberos envtest e2e; do \
	  echo "--- make $$part"; $(MAKE) --no-print-directory $$part TRIALS=$${TRIALS:-400}; done
	@echo "all tests passed"

unit: ## Run the tests that need Go alone
	$(GO) test $(PACKAGES)

lint: $(BIN)/golangci-lint ## Check style, mistakes, and which package may import which
	$(BIN)/golangci-lint run $(PACKAGES)

verify: ## Check that generated files are what generate would make
	hack/verify-generated.sh

manifests: $(BIN)/kustomize ## Check that the chart and config/default give the same objects
	KUSTOMIZE=$(BIN)/kustomize HELM="$$($(CLUSTER) bin)/helm" $(GO) test -tags manifests -count=1 ./test/manifests

differential: ## Play the same random commands (TRIALS, 10000) to pop3d and to a real Dovecot and compare (root on Debian)
	@hack/packages.sh doveadm=dovecot-core /usr/lib/dovecot/pop3=dovecot-pop3d
	$(GO) test -tags differential -count=1 -timeout 2h -v ./test/differential -args -trials $${TRIALS:-10000}

kerberos: ## Have MIT Kerberos log in to the mechanism GSSAPI, with a KDC on loopback (root on Debian)
	@hack/packages.sh /usr/sbin/krb5kdc=krb5-kdc /usr/sbin/kadmin.local=krb5-admin-server kinit=krb5-user
	@/usr/bin/python3 -c 'import gssapi' 2>/dev/null || hack/packages.sh python3-gssapi
	$(GO) test -tags kerberos -count=1 -timeout 10m ./test/kerberos

timing: ## Compare the times of failed logins, 1,000 of each kind (some six minutes; needs a quiet machine)
	TIMING_TRIES=1000 $(GO) test -tags timing -count=1 -timeout 30m -v -run '^TestTiming$$' ./pop3server/pop3

envtest: ## Run the operator against a real API server, etcd and controller manager
	KUBEBUILDER_ASSETS="$$($(CLUSTER) assets)" $(GO) test -tags envtest -count=1 -timeout 20m ./api/... ./controllers/...

e2e: ## Run everything on a real node: chart, operator, server, mail clients
	test/e2e/run.sh

chaos: ## Kill servers that share a volume, processes and then pods (CHAOSTIME, 10m): is mail lost, or back, or there twice?
	POPSERVICE_CHAOS=1 $(GO) test -count=1 -v -timeout 20m -run TestServersKilledAtRandom ./pop3server/maildrop
	POPSERVICE_CHAOS=$${CHAOSTIME:-10m} test/e2e/run.sh -run '^TestSharedVolume$$'

fuzz: ## Fuzz each target for FUZZTIME (1m)
	hack/fuzz.sh

bench: ## Compare pop3d with a tuned Dovecot on this machine; BENCH has flags (root on Debian)
	@[ -x /usr/lib/dovecot/pop3 ] && [ -x /usr/lib/dovecot/lmtp ] || hack/packages.sh dovecot-core dovecot-pop3d dovecot-lmtpd
	@$(GO) run ./hack/bench $(BENCH)

##@ Tools, built from hack/tools and hack/lint
$(BIN)/controller-gen: hack/tools/go.mod
	cd hack/tools && $(GO) build -o $@ sigs.k8s.io/controller-tools/cmd/controller-gen

$(BIN)/kustomize: hack/tools/go.mod
	cd hack/tools && $(GO) build -o $@ sigs.k8s.io/kustomize/kustomize/v5

$(BIN)/golangci-lint: hack/lint/go.mod
	cd hack/lint && $(GO) build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
