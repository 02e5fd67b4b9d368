# One target for each chore. `make` lists them.
GO        ?= go
FUZZTIME  ?= 20s
RACETESTS ?= ./...
PERF      ?=
PERFAPI   ?=
SOAK      ?= 60s
CRASHES   ?= 24
CHAOS     ?= 3
CHAOSTESTS ?= TestCrash|TestChaos
TOOLS     := -modfile=.ci/tools/go.mod

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/tboxgate, static, with the version of the checkout
	CGO_ENABLED=0 $(GO) build -buildvcs=auto -trimpath -ldflags '-s -w' -o bin/tboxgate ./cmd/tboxgate

# Where the program runs whole; on Windows all but serve does.
TARGETS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# deb and rpm want a number first; what came after a tag sorts after it, a candidate before it.
PACKAGE ?= $(shell echo '$(VERSION)' | sed -E 's/^v//; /^[0-9]+\./!s/^/0.0.0~git/; s/-([0-9]+)-g/+\1.g/; s/-dirty$$/+dirty/; s/-/~/g')
ARCHS   ?= amd64 arm64

.PHONY: release
release: ## build dist/: static programs for all systems, with checksums; the same checkout gives the same bytes
	@rm -rf dist && mkdir -p dist
	@set -e; for t in $(TARGETS); do os=$${t%/*} arch=$${t#*/}; out=dist/tboxgate_$(VERSION)_$${os}_$$arch; [ $$os != windows ] || out=$$out.exe; \
		echo $$out; CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -buildvcs=auto -trimpath -ldflags '-s -w -buildid=' -o $$out ./cmd/tboxgate; done
	@cp LICENSE dist/ && cd dist && sha256sum LICENSE tboxgate_* > SHA256SUMS

.PHONY: packages
packages: ## build dist/*.deb and *.rpm of what make release has built, for amd64 and arm64
	@set -e; for arch in $(ARCHS); do for kind in deb rpm; do \
		ARCH=$$arch VERSION='$(PACKAGE)' BINARY=dist/tboxgate_$(VERSION)_linux_$$arch SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		$(GO) tool $(TOOLS) nfpm package --config deploy/package/nfpm.yaml --packager $$kind --target dist/; done; done
	@cd dist && sha256sum LICENSE tboxgate[-_]* > SHA256SUMS

.PHONY: deploycheck
deploycheck: ## check programs (SYSTEMS="linux/amd64": of these), packages, unit, image, manifests (needs Debian, rpm, systemd, root)
	SYSTEMS='$(SYSTEMS)' bash deploy/check
	cd deploy/kubernetes/k8stest && $(GO) test ./...

.PHONY: boottest
boottest: ## boot a Debian and install, run, restart, upgrade and remove the packages in it (needs mmdebstrap, systemd-nspawn, root)
	bash deploy/systemd/boot

.PHONY: run
run: ## run the gateway for development, on loopback, as the README does
	$(GO) run ./cmd/tboxgate serve --dev --data-dir tboxgate-data

.PHONY: test
test: ## run the tests
	$(GO) test ./...

.PHONY: race
race: ## run the tests with the race detector, in random order
	$(GO) test -race -shuffle=on $(RACETESTS)

.PHONY: sdktest
sdktest: ## run the tests with Alibaba Cloud's Go SDKs, old and current (a module of its own)
	cd command/openapi/sdktest && $(GO) test ./...

.PHONY: nodesdks
nodesdks:
	cd command/openapi/sdktest/node && npm ci --ignore-scripts --no-audit --no-fund

.PHONY: examples
examples: nodesdks ## run the programs of docs/api.md, Go too (needs bash, curl, openssl, python3, node, npm, a JDK)
	cd command/openapi/sdktest && $(GO) vet -tags examples ./... && $(GO) test -count=1 -tags examples -run Examples ./...

.PHONY: nodetest
nodetest: nodesdks ## run the tests with Alibaba Cloud's Node SDKs (needs node and npm, which installs them)
	cd command/openapi/sdktest && $(GO) vet -tags node ./... && $(GO) test -count=1 -tags node -run Node ./...

.PHONY: chaos
chaos: ## kill -9, full and dying disks, brokers away, under load (needs root); every answered frame must be stored
	$(GO) vet -tags chaos ./cmd/tboxgate ./gateway/sink/follow
	TBOXGATE_CRASHES=$(CRASHES) TBOXGATE_CHAOS=$(CHAOS) $(GO) test -count=1 -tags chaos -run '$(CHAOSTESTS)' -timeout 30m -v ./cmd/tboxgate ./gateway/sink/follow

.PHONY: generate
generate: ## write the generated files again
	$(GO) generate ./...
	$(GO) test ./cmd/tboxgate -run 'TestConfigurationReference|TestReadingReference|TestProbeDoc' -update
	$(GO) test ./gateway/metrics -run 'TestReference|TestNames' -update
	$(GO) test ./docs -run TestFigures -update

.PHONY: fresh
fresh: ## fail when a generated file is stale
	$(GO) generate ./...
	@git diff --exit-code || { echo "generated files are stale: commit what 'make generate' writes" >&2; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard)" || { git status --short; echo "generated files are not checked in" >&2; exit 1; }

.PHONY: fmt
fmt: ## fail when gofmt would change a file
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }

.PHONY: vet
vet: ## run go vet
	$(GO) vet ./...

.PHONY: lint
lint: ## run the linters of .golangci.yml
	$(GO) tool $(TOOLS) golangci-lint run ./...

.PHONY: tidy
tidy: ## fail when go.mod or go.sum of any module would change
	@set -e; for m in $$(git ls-files '*go.mod'); do (cd $$(dirname $$m) && $(GO) mod tidy -diff); done

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 20s)
	@set -e; for t in $$($(GO) test -list '^Fuzz' ./fuzz | grep '^Fuzz'); do \
		echo "== $$t"; $(GO) test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x ./fuzz; done

.PHONY: wireshark
wireshark: ## compare the Wireshark dissector with the codec (needs tshark)
	$(GO) vet -tags wireshark ./docs/wireshark
	$(GO) test -count=1 -tags wireshark ./docs/wireshark

.PHONY: mermaid
mermaid: ## parse the diagrams of the documents with Mermaid's own parser (needs node and npm, which installs it)
	cd docs/mermaid && npm ci --ignore-scripts --no-audit --no-fund
	$(GO) vet -tags mermaid ./docs
	$(GO) test -count=1 -tags mermaid -run Mermaid ./docs

.PHONY: consumers
consumers: ## run the example consumers against a gateway (needs python3 and a JDK)
	$(GO) vet -tags consumers ./docs/consumers
	$(GO) test -count=1 -tags consumers ./docs/consumers

.PHONY: monitoring
monitoring: ## test rules and dashboards with promtool and a real Prometheus (needs both)
	$(GO) vet -tags prometheus ./docs/monitoring
	$(GO) test -count=1 -tags prometheus ./docs/monitoring
	cd docs/monitoring/grafanatest && $(GO) vet ./... && $(GO) test ./...

.PHONY: mosquitto
mosquitto: ## try the broker for MQTT devices with mosquitto's clients (needs mosquitto_pub and mosquitto_sub)
	$(GO) test -count=1 -tags mosquitto -run Mosquitto ./gateway/mqttdevice

.PHONY: shells
shells: ## complete commands and flags in shells (needs bash and zsh)
	$(GO) vet -tags shells ./cmd/tboxgate
	$(GO) test -count=1 -tags shells -run 'TestBashCompletion|TestZshCompletion' ./cmd/tboxgate

.PHONY: sinkclients
sinkclients: ## run the commands of docs/sinks.md against sinks (needs kcat and mosquitto_sub)
	$(GO) vet -tags sinkclients ./cmd/tboxgate
	$(GO) test -count=1 -tags sinkclients -run 'TestKcat|TestMosquittoSub' ./cmd/tboxgate

.PHONY: bench
bench: ## run the benchmarks of the codec, the table and the store
	$(GO) test -run '^$$' -bench . -benchmem ./codec ./session ./gateway/...

.PHONY: perf
perf: ## measure the gateway beside the floor, write docs/performance.md and the READMEs (PERF="-rounds 3" for a quick look)
	$(GO) run ./gateway/internal/perf -out docs/performance.md $(PERF)
	$(GO) test ./docs -run TestFigures -update

.PHONY: perf-api
perf-api: ## measure calls of the API down to the vehicle, write docs/performance.md (PERFAPI="-rounds 1 -d 2s" for a quick look)
	$(GO) run ./gateway/internal/perf/api -out docs/performance.md $(PERFAPI)

.PHONY: soak
soak: ## churn for SOAK (default 60s): memory, goroutines and descriptors must not grow, no answer may be wrong
	$(GO) run ./gateway/internal/perf/soak -for $(SOAK) -out docs/performance.md

.PHONY: ci
ci: ## everything that .ci/run does
	bash .ci/run
