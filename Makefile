# What a person types. Each target installs what it needs on a Debian-like machine that has Rust.

.DEFAULT_GOAL := help
.PHONY: help demo demo-orders test crash-points torture lint bench bench-peers bench-compare bench-micro fuzz

help: ## What there is to type
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build Millrace and see real flight records go through Kafka topics into a table; no server needed
	@scripts/setup.sh build
	@scripts/demo.sh

demo-orders: ## See a schema move, and a poisoned batch mended and replayed, in half a minute; no server needed
	@scripts/setup.sh build
	@scripts/demo-orders.sh

test: ## All tests, on the development broker and on Apache Kafka, a registry and PostgreSQL, which it starts and ends
	@scripts/setup.sh test
	@scripts/test.sh

crash-points: ## Every crash point of every hop by itself, at its first hits: the long form of what `make test` does
	@scripts/setup.sh test
	@MILLRACE_CRASH_POINTS=each scripts/test.sh -p millrace-tests --test crash_points

lint: ## Format, compiler and clippy warnings, dependencies, shell scripts
	@scripts/setup.sh lint
	@scripts/lint.sh

torture: ## Ten minutes of random faults on three brokers, a registry and PostgreSQL; ARGS="--minutes 60 --faults process,link"
	@scripts/setup.sh test
	@scripts/torture.sh $(ARGS)

bench: ## The standard jobs beside librdkafka, COPY and a bare HTTP handler, in one run; kept in benches/results
	@scripts/setup.sh test
	@scripts/bench.sh

bench-peers: ## The same, with other products beside them
	@scripts/setup.sh test
	@scripts/bench.sh --peers

bench-compare: ## Two commits by their ratios to the references of their own runs: make bench-compare A=... B=...
	@cargo run -q --release -p millrace-benches -- compare $(A) $(B)

bench-micro: ## What the parts of the hot paths cost alone, by criterion: codec, plan, COPY, JSON, bodies of requests, positions
	@scripts/setup.sh build
	@cargo bench -p millrace-benches --bench micro

fuzz: ## Fuzz what reads bytes from outside, each target for MINUTES (20): make fuzz MINUTES=5 TARGETS="avro json"
	@scripts/setup.sh build
	@scripts/fuzz.sh $(or $(MINUTES),20) $(TARGETS)
