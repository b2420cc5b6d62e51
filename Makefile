# Ward's few commands. Each installs what it is missing and prints what and why (deploy/install-deps.sh).
.PHONY: help up test parity bench deny clean

help:
	@echo "make up      build Ward and run examples/shop: a mesh from one diagram (Ctrl-C stops it)"
	@echo "make test    everything that must hold: format, lints, tests; what CI runs"
	@echo "make parity  100,000 decisions of policies beside a real Envoy (some minutes; WARD_SEED, WARD_DECISIONS)"
	@echo "make bench   CPU per request of ward-proxy beside Envoy, HAProxy, nginx and a floor (about 15 minutes)"
	@echo "make deny    licences, advisories and sources of all dependencies (needs cargo-deny)"
	@echo "make clean   removes what was built and what \`make up\` kept in examples/shop/.ward"

up:
	@deploy/install-deps.sh up
	cargo build --release --locked --bins
	target/release/ward up examples/shop

# What is drawn at random depends on the commit: what fails at a commit fails there again, and each commit tries other cases.
test: export PROPTEST_RNG_SEED ?= $(shell printf %d 0x$$(git rev-parse --short=15 HEAD 2>/dev/null || echo 1))
test:
	@deploy/install-deps.sh test
	@echo "cases are drawn with PROPTEST_RNG_SEED=$$PROPTEST_RNG_SEED"
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo build --workspace --bins --locked
	@if [ -d console ]; then $(MAKE) -C console test; fi
	cargo nextest run --workspace --locked

parity: export WARD_DECISIONS ?= 100000
parity:
	@deploy/install-deps.sh test
	cargo nextest run -p tests --locked --no-capture envoy::generated

bench:
	@deploy/install-deps.sh bench
	bench/run.sh

deny:
	@command -v cargo-deny >/dev/null || { echo "missing: cargo-deny; \`cargo install --locked cargo-deny\` (some minutes)"; exit 1; }
	cargo deny --locked check

clean:
	cargo clean
	rm -rf bench/results bench/floor/target examples/shop/.ward
