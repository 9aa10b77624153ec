# The two commands that matter: `make test` proves the tree, `make demo` shows it. `make help` lists the rest.

SHELL    := bash
FUZZTIME ?= 5s
BENCH    ?= .
# RACE=1 turns the race detector on.
RACE     ?=
export RACE FUZZTIME

.PHONY: help build test race lint fuzz bench demo clean needs

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

build: ## bin/gatepost
	go build -trimpath -o bin/ ./cmd/gatepost

test: needs ## go vet and every test, end to end with a real browser included; installs what it needs when root on Debian
	go vet ./...
	go test $(if $(filter 1,$(RACE)),-race) -timeout 15m ./...

race: ## the same with the race detector
	@$(MAKE) --no-print-directory test RACE=1

lint: ## gofmt, go vet, staticcheck, govulncheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go tool govulncheck ./...

fuzz: ## every fuzz target for FUZZTIME (default 5s)
	@.ci/fuzz

bench: ## benchmarks, five times each; BENCH=REGEXP chooses
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count 5 ./...

demo: ## eight sign-ins against a simulated Okta, on loopback, until interrupted
	go run ./cmd/gatepost demo

clean: ## what build and test left
	rm -rf bin .cache
	go clean -testcache

needs:
	@.ci/needs
