# How Cairn is built, tried and tested. `make test` sets up everything that it needs.

VENV := .venv

.PHONY: help build run test test-fast test-crate test-python check setup bench bench-checksums bench-compare bench-copying bench-growth bench-large bench-lifecycle bench-limits bench-micro bench-segments bench-slow bench-swarm bench-versions bench-writer clean

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

build: ## Build the release binary, target/release/cairn
	cargo build --release --locked --package cairn

run: ## Start a store on 127.0.0.1:9000 with its data in ./cairn-data
	cargo run --release --locked --package cairn -- server

setup: ## Install what the tests need: Python clients, rclone, restic and the like
	tests/setup

test: setup ## Run every test, with one summary at the end
	python3 tests/run.py

test-fast: ## Run every crate's own tests: a minute or two once they are built
	python3 tests/run.py --fast

test-crate: ## Run the tests of one crate: make test-crate C=cairn-gateway
	python3 tests/run.py --crate "$(C)"

test-python: setup ## Run some Python tests by their names: make test-python K=presigned
	python3 tests/run.py --python "$(K)"

check: ## Formatting, clippy, and the rules for dependencies (needs cargo-deny and cargo-machete)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny check
	cargo machete

bench-limits: build setup ## Compare `cairn server` with servers that do less, and with what the machine can do at all
	cargo build --release --locked --package cairn-load --example floor
	$(VENV)/bin/python benches/limits.py $(LIMITS)

bench-compare: build setup ## Compare what small requests cost with another binary: make bench-compare BEFORE=path/to/cairn
	$(VENV)/bin/python benches/compare.py "$(BEFORE)"

bench-copying: build setup ## Measure drain and repair next to plain copies, and what clients notice of repair
	$(VENV)/bin/python benches/copying.py $(COPYING)

bench-growth: build setup ## Measure requests, memory and the start of a store with more and more objects
	$(VENV)/bin/python benches/growth.py $(GROWTH)

bench-large: build setup ## Measure completing, copying and renaming an object of 5 GiB
	$(VENV)/bin/python benches/large_objects.py

bench: build setup ## Compare throughput with that of a plain file and of plain loopback
	$(VENV)/bin/python benches/throughput.py

bench-swarm: build ## Measure one metanode with 10,000 simulated datanodes
	cargo run --release --locked --package cairn-cluster-tests --example swarm

bench-segments: ## Compare what a volume with 10,000 segments costs with one of 100
	cargo run --release --locked --package cairn-datanode --example segments

bench-slow: build setup ## Measure what healthy clients notice of 1,000 slow readers and 3,000 slow writers
	$(VENV)/bin/python benches/slow_clients.py

bench-checksums: ## Compare what proving a chunk table costs with the library's general way
	cargo bench --locked --package cairn-protocol

bench-micro: ## Measure what is hot by itself: chunk tables, signatures, aws-chunked bodies, policies, placement
	cargo bench --locked --package cairn-protocol --bench combine
	cargo bench --locked --package cairn-gateway --bench requests
	cargo bench --locked --package cairn-policy --bench decide
	cargo bench --locked --package cairn-planner --bench placement

bench-lifecycle: ## Measure what 100 due objects cost among 10,000 and among a million (OBJECTS=100000: another number)
	cargo bench --locked --package cairn-metanode --bench lifecycle -- $(OBJECTS)

bench-versions: ## Compare requests about 10,000 versions with those about a million (MANY=100000: about as many)
	cargo bench --locked --package cairn-metanode --bench versions -- $(MANY)

bench-writer: ## Measure what PUTs notice of all else that writes (ONLY=reports: of those whose name has that)
	cargo bench --locked --package cairn-metanode --bench writer -- $(ONLY)

clean: ## Remove everything that was built or downloaded
	cargo clean
	rm -rf $(VENV) .venv-applications .test
