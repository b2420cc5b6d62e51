#!/usr/bin/env python3
"""Median [min-max] tables (Markdown) from the JSON lines that bench.py writes, each CPU column beside its ratio to Envoy.

usage: summarize.py results.jsonl [MAX_FOREIGN_CORES]
Runs during which other processes used more than MAX_FOREIGN_CORES (default 0.3) are dropped
when at least two quieter runs of the same cell remain; the n column says how many were used.
"""
import json, statistics, sys
from collections import defaultdict

PEER = "envoy"  # the ratios are against it
TARGET = 0.42  # DESIGN: CPU per proxied mTLS request, each side, of Envoy's
rows = [json.loads(x) for x in open(sys.argv[1])]
limit = float(sys.argv[2]) if len(sys.argv) > 2 else 0.3
cells, names = defaultdict(list), []
for r in rows:
    cells[r["contestant"], r["scenario"]].append(r)
    if r["contestant"] not in names and r["contestant"] != "-":
        names.append(r["contestant"])


def runs(name, scen):
    a = [r for r in cells[name, scen] if "error" not in r]
    q = [r for r in a if r.get("foreign_cores", 0) <= limit]
    return (q, len(a)) if len(q) >= 2 else (a, len(a))


def num(x):
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 1 else f"{x:.2f}"


def values(rs, f):
    return [x for x in (f(r) for r in rs) if x is not None]


def cell(rs, f):
    v = values(rs, f)
    if not v:
        return "-"
    return num(statistics.median(v)) + (f" [{num(min(v))}-{num(max(v))}]" if len(v) > 1 else "")


def ratio(name, scen, f):
    """The contestant's median over Envoy's; None when one of them has no run."""
    mine, peer = values(runs(name, scen)[0], f), values(runs(PEER, scen)[0], f)
    return statistics.median(mine) / statistics.median(peer) if mine and peer and statistics.median(peer) else None


def table(title, scen, cols, compare=()):
    """`compare`: the columns whose ratio to Envoy follows them."""
    if not any(runs(n, scen)[0] for n in names):
        return
    head = [h for c, _ in cols for h in ([c, f"/ {PEER}"] if c in compare else [c])]
    print(f"\n### {title}\n\n| contestant | " + " | ".join(head) + " | errors | foreign cores | n |")
    print("|" + "---|" * (len(head) + 4))
    for n in names:
        rs, total = runs(n, scen)
        if rs:
            out = []
            for c, f in cols:
                out.append(cell(rs, f))
                if c in compare:
                    x = ratio(n, scen, f)
                    out.append("-" if x is None else f"{x:.2f}")
            print(f"| {n} | " + " | ".join(out) +
                  f" | {sum(r.get('errors', 0) for r in rs)} | {cell(rs, lambda r: r.get('foreign_cores'))} | {len(rs)}/{total} |")


k = lambda key, scale=1: lambda r: r[key] * scale if key in r else None
both = lambda a, b: lambda r: r[a] + r[b] if a in r and b in r else None
cpu = [("A CPU us/req", k("a_us")), ("B CPU us/req", k("b_us")), ("A+B us/req", both("a_us", "b_us")),
       ("A user us", k("a_user_us")), ("B user us", k("b_user_us")), ("backend us/req", k("be_us"))]
lat = [("rps", k("rps")), ("p50 ms", k("p50_us", 1e-3)), ("p99 ms", k("p99_us", 1e-3)), ("p99.9 ms", k("p999_us", 1e-3))]
each = ("A CPU us/req", "B CPU us/req")

for r in cells["-", "machine"][-1:]:
    print(f"{r['date']}: {r['cores']} x {r['cpu']}, {r['kernel']}; {r['threads']} worker thread(s) per proxy, "
          f"{r['body']} byte responses, {r['rounds']} round(s) of {r['secs']} s. Medians [min-max]; CPU is the proxy's own user + system time.")
for n in names:
    for r in cells[n, "version"][-1:]:
        if r["version"]:
            print(f"- {n}: {r['version']}")
table("Fixed rate, keep-alive", "fixed", cpu + lat, each)
table("Saturated, keep-alive", "sat", cpu + lat, each)
byte = [("A CPU ns/byte", k("a_ns_per_byte")), ("B CPU ns/byte", k("b_ns_per_byte"))]
table("Bulk, 1 MiB bodies", "bulk", [("MiB/s", lambda r: r["rps"])] + byte +
      [("backend ns/byte", k("be_ns_per_byte"))], ("A CPU ns/byte", "B CPU ns/byte"))
table("New mTLS connection per request (A dials B anew each time)", "hs", [("handshakes/s", k("rps"))] + cpu[:3] +
      [("p50 ms", k("p50_us", 1e-3)), ("p99 ms", k("p99_us", 1e-3))], each)
alone = [(n, runs(n, "hs")[0], runs(n, "sat")[0]) for n in names]
if any(h and s for _, h, s in alone):
    print("\nHandshake alone (the row above minus the saturated keep-alive median):\n")
for n, h, s in alone:
    if h and s and "b_us" in h[0]:
        print(f"- {n}: A " + num(statistics.median(r["a_us"] for r in h) - statistics.median(r["a_us"] for r in s)) +
              " us, B " + num(statistics.median(r["b_us"] for r in h) - statistics.median(r["b_us"] for r in s)) + " us")
table("Handshake only, openssl s_time straight to B", "hs_b", [("handshakes/s", k("rps")), ("B CPU us/handshake", k("b_us"))],
      ("B CPU us/handshake",))
if any(cells[n, "mem"] for n in names):
    print("\n### Memory (RSS, MiB; PSS in brackets)\n\n| contestant | A idle | B idle | A with idle conns | B meanwhile"
          " | B KiB per idle mTLS conn |\n|---|---|---|---|---|---|")
for n in names:
    for r in cells[n, "mem"][-1:]:
        def g(p, tag):
            v = [x for f in ("rss", "pss") for q, x in r.items() if q.startswith(p) and q.endswith(f"{tag}_{f}_mib")]
            return f"{num(v[0])} [{num(v[1])}]" if len(v) == 2 else "-"
        if "a_idle_rss_mib" in r:
            print(f"| {n} | {g('a_', 'idle')} | {g('b_', 'idle')} | {g('a_', 'conn')} | {g('b_', 'conn')} | "
                  f"{num(r['b_per_mtls_conn_kib']) if 'b_per_mtls_conn_kib' in r else '-'} |")
checks = []
for n in names:
    w = [r.get("negotiated") for r in cells[n, "wire"]][-1:]
    t = [{q: v for q, v in r.items() if q in ("peer_sig", "client_id_ok", "wrong_id", "no_cert")} for r in cells[n, "tls"]][-1:]
    if w or t and t[0]:
        checks.append(f"- {n}: on the wire {w[0] if w else '?'}; {t[0] if t else ''}")
if checks:
    print("\n### TLS and identity checks\n\n" + "\n".join(checks))
for scen in ("fixed", "sat", "hs"):
    sides = [(side, ratio("ward", scen, k(f"{side.lower()}_us"))) for side in "AB"]
    if all(x is not None for _, x in sides):
        print(f"\nward, {scen}: " + ", ".join(f"{side} {x:.2f} of Envoy's CPU" for side, x in sides) +
              (f" (target {TARGET})" if scen != "hs" else ""))
for r in rows:
    if "error" in r:
        print(f"\nFAILED: {r['contestant']} {r['scenario']} round {r['round']}: {r['error']}")
