#!/usr/bin/env python3
"""Peer benchmark: load generator -> sidecar A -(mTLS 1.3)-> sidecar B -> backend, all on loopback.

The main metric is the CPU time that each proxy itself spends per request, because the
load generator, both proxies and the backend share the same few cores. See README.md.
"""
import argparse, http.client, json, os, re, shlex, shutil, signal, socket, ssl
import string, subprocess, sys, tempfile, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
env = os.environ.get
TICK = os.sysconf("SC_CLK_TCK")
V = {  # template variables; each has an environment override
    "A_PORT": env("BENCH_A_PORT", "19001"), "B_PORT": env("BENCH_B_PORT", "19002"),
    "BACKEND_PORT": env("BENCH_BACKEND_PORT", "19003"), "THREADS": env("BENCH_THREADS", "1"),
    "ENVOY_BIN": env("ENVOY_BIN", "envoy"), "HAPROXY_BIN": env("HAPROXY_BIN", "haproxy"),
    "NGINX_BIN": env("NGINX_BIN", "nginx"),
    "FLOOR_BIN": env("FLOOR_BIN", str(HERE / "floor/target/release/floor")),
    "WARD_PROXY_BIN": env("WARD_PROXY_BIN", str(HERE.parent / "target/release/ward-proxy")),
    "CERTS": env("BENCH_CERTS", ""), "ALLOWED_ID": "spiffe://bench.local/ns/default/sa/client",
}
BODY = int(env("BENCH_BODY", "1024"))
BULK = 1 << 20
BACKEND_CONF = """daemon off; worker_processes 1; worker_rlimit_nofile 19000; pid ${RUN}/be.pid;
error_log ${RUN}/be.err error; events { worker_connections 9000; }
http { access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 600s;
  open_file_cache max=16; server { listen 127.0.0.1:${BACKEND_PORT} backlog=4096;
  listen 127.0.0.2:${BACKEND_PORT} backlog=4096; root ${RUN}/www; location = / { return 200 "%s"; } } }
"""
LUA = """done = function(s, l, r) local e = s.errors
  print(string.format("RESULT %d %d %d %d %d %d %d", s.requests, s.bytes, s.duration,
    l:percentile(50), l:percentile(99), l:percentile(99.9), e.connect+e.read+e.write+e.status+e.timeout)) end
"""


class T(string.Template):
    idpattern = r"(?a:[A-Z_]+)"


def render(text, vars_, mode):
    """Fill ${VARS}; keep '#@MODE rest' lines as 'rest' only in that mode (ka or hs)."""
    out = []
    for line in text.splitlines():
        m = re.match(r"(\s*)#@(\w+) (.*)", line)
        if m and m[2] != mode:
            continue
        out.append(m[1] + m[3] if m else line)
    return T("\n".join(out) + "\n").safe_substitute(vars_)


def tree(pid):
    """A process and all its descendants."""
    kids, todo, seen = {}, [pid], []
    for p in Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                kids.setdefault(int((p / "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(int(p.name))
            except OSError:
                pass
    while todo:
        p = todo.pop()
        seen.append(p)
        todo += kids.get(p, [])
    return seen


class Proc:
    def __init__(self, cmd, log, environ=None, cwd=None):
        self.log = open(log, "wb")
        self.p = subprocess.Popen(shlex.split(cmd), stdout=self.log, stderr=self.log, cwd=cwd,
                                  env={**os.environ, **(environ or {})}, start_new_session=True)

    def cpu(self):
        """(user, system) seconds, all threads and children."""
        u = s = 0
        for pid in tree(self.p.pid):
            try:
                f = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                u, s = u + int(f[11]), s + int(f[12])
            except OSError:
                pass
        return u / TICK, s / TICK

    def mem_mib(self, field="Pss"):
        """Resident memory of the tree, MiB: Rss, or Pss (pages shared by A and B are split between them)."""
        kb = 0
        for pid in tree(self.p.pid):
            try:
                kb += int(re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
            except OSError:
                pass
        return kb / 1024

    def stop(self):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            if self.p.poll() is None:
                try:
                    os.killpg(self.p.pid, sig)  # our own session leader, never anything else
                    self.p.wait(2)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass
        self.log.close()


def wait_port(port, proc, limit=15):
    end = time.time() + limit
    while time.time() < end:
        if proc.p.poll() is not None:
            raise RuntimeError(f"{proc.log.name}: exited {proc.p.returncode}")
        try:
            socket.create_connection(("127.0.0.1", int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"port {port} did not open")


def machine_cpu():
    f = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(f) - f[3] - f[4]) / TICK


def get(port, path="/"):
    c = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
    c.request("GET", path, headers={"Host": "app.bench.local"})
    r = c.getresponse()
    return r.status, len(r.read())


class Stack:
    """Backend plus one contestant's A and B in one mode."""

    def __init__(self, name, mode, work):
        self.name, self.spec = name, json.loads((HERE / "contestants" / name / "contestant.json").read_text())
        self.run = Path(tempfile.mkdtemp(prefix=f"{name}-{mode}-", dir=work))
        self.vars = {**V, **{k: env(k, v) for k, v in self.spec.get("vars", {}).items()}, "RUN": str(self.run), "MODE": mode}
        self.run.chmod(0o755)
        for f in (HERE / "contestants" / self.spec.get("base", name)).iterdir():
            if f.name != "contestant.json":
                (self.run / f.name).write_text(render(f.read_text(), self.vars, mode))
        (self.run / "www").mkdir()
        (self.run / "www" / "bulk").write_bytes(os.urandom(BULK))
        (self.run / "be.conf").write_text(T(BACKEND_CONF % ("x" * BODY)).safe_substitute(self.vars))
        sub = lambda s: T(s).safe_substitute(self.vars)
        self.entry = sub(self.spec.get("entry_port", "${A_PORT}"))
        environ = {k: sub(v) for k, v in self.spec.get("env", {}).items()}
        self.procs = {}
        try:
            self.procs["be"] = Proc(sub("${NGINX_BIN} -p ${RUN} -c ${RUN}/be.conf"), self.run / "be.log")
            wait_port(V["BACKEND_PORT"], self.procs["be"])
            for role in ("b", "a"):
                if role in self.spec:
                    self.procs[role] = Proc(sub(self.spec[role]), self.run / f"{role}.log", environ, self.run)
                    wait_port(self.vars[role.upper() + "_PORT"], self.procs[role])
            for _ in range(40):  # first request proves the whole path
                try:
                    got = get(self.entry)
                    if got == (200, BODY):
                        break
                except OSError as e:
                    got = e
                time.sleep(0.25)
            else:
                raise RuntimeError(f"{name}: no 200 through the path: {got}")
        except Exception:
            self.stop()
            raise

    def cpu(self):
        return {k: p.cpu() for k, p in self.procs.items()}

    def stop(self):
        for p in reversed(list(self.procs.values())):
            p.stop()
        shutil.rmtree(self.run / "www", ignore_errors=True)


def quiet(limit=5):
    """Wait until nobody else is using the machine; returns the foreign load that is left, in cores."""
    end = time.time() + limit
    while True:
        c, t = machine_cpu(), time.time()
        time.sleep(0.5)
        load = (machine_cpu() - c) / (time.time() - t)
        if load < 0.10 or time.time() > end:
            return load


def measure(stack, load):
    """Run load() -> dict while counting CPU; adds per-request CPU for every process."""
    quiet()
    c0, m0, k0, t0 = stack.cpu(), machine_cpu(), os.times(), time.time()
    r = load()
    dt, c1, m1, k1 = time.time() - t0, stack.cpu(), machine_cpu(), os.times()
    ours = (k1.children_user + k1.children_system - k0.children_user - k0.children_system
            + k1.user + k1.system - k0.user - k0.system)
    n = max(r["requests"], 1)
    for k in c0:
        u, s = c1[k][0] - c0[k][0], c1[k][1] - c0[k][1]
        ours += u + s
        r[f"{k}_us"], r[f"{k}_user_us"], r[f"{k}_sys_us"] = (u + s) / n * 1e6, u / n * 1e6, s / n * 1e6
        r[f"{k}_cores"] = (u + s) / dt
        if r.get("bytes"):
            r[f"{k}_ns_per_byte"] = (u + s) / r["bytes"] * 1e9
    r["foreign_cores"] = max(0.0, (m1 - m0 - ours) / dt)
    return r


def wrk(port, path, conns, secs, work, rel=False):
    lua = Path(work) / "done.lua"
    lua.write_text(LUA)
    o = subprocess.run(["wrk", "-t1", f"-c{conns}", f"-d{secs}s", "--timeout", "10s", "-s", str(lua),
                        "-H", "Host: app.bench.local", f"http://127.0.0.1:{port}{path}"],
                       capture_output=True, text=True, timeout=secs + 20).stdout
    q = [int(x) for x in re.search(r"RESULT (.*)", o)[1].split()]
    return {"requests": q[0], "rps": q[0] / q[2] * 1e6, "bytes": q[1], "p50_us": q[3], "p99_us": q[4],
            "p999_us": q[5], "errors": q[6]}


def h2load_fixed(port, rps, conns, secs, work):
    log = Path(work) / "lat.tsv"
    log.unlink(missing_ok=True)
    o = subprocess.run(["h2load", "--h1", "-t1", f"-c{conns}", f"-n{int(rps * secs)}", f"--rps={rps / conns}",
                        f"--log-file={log}", f"http://127.0.0.1:{port}/"],
                       capture_output=True, text=True, timeout=secs * 3 + 15).stdout  # -n, as -D hangs with --rps in 1.52
    rows = [x.split("\t") for x in log.read_text().splitlines()]
    lat = sorted(int(x[2]) for x in rows if x[1] == "200")
    at = lambda p: lat[min(len(lat) - 1, int(len(lat) * p))]
    return {"requests": len(lat), "rps": len(lat) / secs, "bytes": 0, "p50_us": at(.5), "p99_us": at(.99),
            "p999_us": at(.999), "errors": len(rows) - len(lat)}


def s_time(port, secs):
    """Full client-authenticated TLS handshakes straight to B, closed after each (openssl s_time)."""
    c = V["CERTS"]
    o = subprocess.run(["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(secs), "-cert",
                        f"{c}/client.pem", "-key", f"{c}/client.key", "-CAfile", f"{c}/ca.pem", "-verify", "2",
                        "-ciphersuites", "TLS_AES_128_GCM_SHA256"], capture_output=True, text=True, timeout=secs + 20).stdout
    m = re.search(r"(\d+) connections in (\d+) real seconds", o)
    n = int(m[1]) if m else 0
    return {"requests": n, "rps": n / secs, "bytes": 0, "errors": 0}


def tls_context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.minimum_version = ssl.TLSVersion.TLSv1_3
    c.load_verify_locations(V["CERTS"] + "/ca.pem")
    c.load_cert_chain(V["CERTS"] + "/client.pem", V["CERTS"] + "/client.key")
    return c


def memory(stack, n):
    """Memory at idle, with n idle plaintext connections to A, with n idle mTLS connections to B."""
    time.sleep(1)
    snap = lambda tag: {f"{k}_{tag}_{f.lower()}_mib": p.mem_mib(f) for k, p in stack.procs.items() for f in ("Rss", "Pss")}
    r = snap("idle")
    if "a" not in stack.procs:
        return r
    def hold(make):
        socks = []
        for _ in range(n):
            s = make()
            s.sendall(b"GET / HTTP/1.1\r\nHost: app.bench.local\r\n\r\n")
            while not s.recv(65536).endswith(b"x" * min(BODY, 16)):
                pass
            socks.append(s)
        return socks
    plain = lambda: socket.create_connection(("127.0.0.1", int(stack.entry)), 5)
    socks = hold(plain)
    time.sleep(1)
    r |= snap(f"{n}conn")
    for s in socks:
        s.close()
    if stack.spec.get("no_h1_tls"):
        return r
    time.sleep(1)
    ctx = tls_context()
    base = stack.procs["b"].mem_mib("Rss")
    socks = hold(lambda: ctx.wrap_socket(socket.create_connection(("127.0.0.1", int(V["B_PORT"])), 5),
                                         server_hostname=stack.spec.get("sni", "server.bench.local")))
    time.sleep(1)
    r["b_per_mtls_conn_kib"] = (stack.procs["b"].mem_mib("Rss") - base) * 1024 / n
    for s in socks:
        s.close()
    return r


def sniff_server_hello(name, mode, work):
    """The cipher suite and group that A and B really agree on, read off the wire (needs root)."""
    try:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
    except PermissionError:
        return "not root"
    raw.settimeout(1)
    raw.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: nothing is read until the stack is up
    st, seen = Stack(name, mode, work), "?"  # its first request makes A dial B
    try:
        end = time.time() + 5
        while time.time() < end and seen == "?":
            p = raw.recv(65535)[14:]
            if p[0] >> 4 != 4 or p[9] != 6:
                continue
            tcp = p[(p[0] & 15) * 4:]
            d = tcp[(tcp[12] >> 4) * 4:]
            if int.from_bytes(tcp[:2], "big") == int(V["B_PORT"]) and d[:1] == b"\x16" and d[5:6] == b"\x02":
                i = 44 + d[43]
                suite, ext, group = int.from_bytes(d[i:i + 2], "big"), d[i + 5:], "?"
                while len(ext) >= 4:
                    t, n = int.from_bytes(ext[:2], "big"), int.from_bytes(ext[2:4], "big")
                    if t == 51:
                        group = {29: "X25519", 23: "P-256", 4588: "X25519MLKEM768"}.get(int.from_bytes(ext[4:6], "big"))
                    ext = ext[4 + n:]
                seen = {0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384",
                        0x1303: "TLS_CHACHA20_POLY1305_SHA256"}.get(suite, hex(suite)) + " " + str(group)
    except TimeoutError:
        pass
    finally:
        raw.close()
        st.stop()
    return seen


def tls_seen(stack):
    """Whether B refuses a peer without a certificate or with the wrong identity, and B's signature type."""
    if "b" not in stack.procs:
        return {}
    c = V["CERTS"]
    base = ["openssl", "s_client", "-connect", f"127.0.0.1:{V['B_PORT']}", "-CAfile", f"{c}/ca.pem", "-servername",
            stack.spec.get("sni", "server.bench.local")]
    q = lambda extra, data="": subprocess.run(base + extra, input=data, capture_output=True, text=True, timeout=20).stdout
    o = q(["-cert", f"{c}/client.pem", "-key", f"{c}/client.key", "-brief"]) + \
        q(["-cert", f"{c}/client.pem", "-key", f"{c}/client.key"])
    f = lambda p: (re.search(p, o) or [None, "?"])[1]
    req = "GET / HTTP/1.1\r\nHost: app.bench.local\r\nConnection: close\r\n\r\n"
    code = lambda o: (re.search(r"HTTP/1\.1 (\d+)", o) or [None, "none"])[1]
    r = {"peer_sig": f(r"Peer signature type: (\S+)")}
    if not stack.spec.get("no_h1_tls"):
        r["client_id_ok"] = code(q(["-quiet", "-cert", f"{c}/client.pem", "-key", f"{c}/client.key"], req))
        r["wrong_id"] = code(q(["-quiet", "-cert", f"{c}/server.pem", "-key", f"{c}/server.key"], req))
        r["no_cert"] = code(q(["-quiet"], req))
    return r


SCEN = {  # name: (mode, load(stack, work, args))
    "fixed": ("ka", lambda s, w, a: h2load_fixed(s.entry, a.rps, a.conns, a.secs, w)),
    "sat": ("ka", lambda s, w, a: wrk(s.entry, "/", a.conns, a.secs, w)),
    "bulk": ("ka", lambda s, w, a: wrk(s.entry, "/bulk", 8, a.secs, w)),
    "hs_b": ("ka", lambda s, w, a: s_time(V["B_PORT"], max(2, a.secs - 2))),
    "hs": ("hs", lambda s, w, a: wrk(s.entry, "/", 16, a.secs, w)),
}


def machine():
    """What the numbers were measured on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    u = os.uname()
    return {"cpu": cpu[1] if cpu else u.machine, "cores": os.cpu_count(), "kernel": f"{u.sysname} {u.release}",
            "date": time.strftime("%Y-%m-%d")}


def version(name):
    """The first line of what the contestant says about itself."""
    spec = json.loads((HERE / "contestants" / name / "contestant.json").read_text())
    if "version" not in spec:
        return None
    cmd = shlex.split(T(spec["version"]).safe_substitute(V))
    o = subprocess.run(cmd, capture_output=True, text=True, timeout=20)
    said = next((x.strip() for x in (o.stdout + o.stderr).splitlines() if x.strip()), "?")
    return said.replace(cmd[0], Path(cmd[0]).name)  # Envoy says where it is; that is nobody's business


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-c", "--contestants", default="direct,ward,envoy,haproxy,nginx,floor")
    ap.add_argument("-s", "--scenarios", default="fixed,sat,bulk,hs_b,hs", help="empty: memory and TLS facts only")
    ap.add_argument("-n", "--rounds", type=int, default=5)
    ap.add_argument("--secs", type=int, default=6)
    ap.add_argument("--rps", type=float, default=2000)
    ap.add_argument("--conns", type=int, default=32)
    ap.add_argument("--idle-conns", type=int, default=1000)
    ap.add_argument("--no-memory", action="store_true")
    ap.add_argument("-o", "--out", default="results.jsonl", help="one JSON object per measurement, appended")
    a = ap.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that every stack is stopped
    work = Path(tempfile.mkdtemp(prefix="ward-bench-"))
    work.chmod(0o755)
    if not V["CERTS"]:
        V["CERTS"] = str(work / "certs")
        subprocess.run([str(HERE / "gen-certs.sh"), V["CERTS"]], check=True)
    names, scens = a.contestants.split(","), [s for s in a.scenarios.split(",") if s]
    with open(a.out, "a") as out:
        def put(**r):
            out.write(json.dumps(r) + "\n")
            out.flush()
            show = {k: (round(v, 2) if isinstance(v, float) else v) for k, v in r.items()
                    if k in ("round", "contestant", "scenario", "rps", "p50_us", "p99_us", "p999_us", "a_us", "b_us",
                             "errors", "foreign_cores", "error") or "mib" in k or "kib" in k or r.get("scenario") in ("machine", "version", "tls", "wire")}
            print(show, flush=True)
        put(scenario="machine", contestant="-", threads=V["THREADS"], body=BODY, rounds=a.rounds, secs=a.secs, **machine())
        for rnd in range(a.rounds):
            order = names[rnd % len(names):] + names[:rnd % len(names)]  # rotate, so drift hits all alike
            for name in order:
                for mode in ("ka", "hs"):
                    todo = [s for s in scens if SCEN[s][0] == mode]
                    try:
                        spec = json.loads((HERE / "contestants" / name / "contestant.json").read_text())
                        todo = [s for s in todo if s not in spec.get("skip", [])
                                and ("b" in spec or not s.startswith("hs"))]
                        if mode == "ka" and rnd == 0:  # fresh processes: memory, then identity and TLS facts
                            put(round=rnd, contestant=name, scenario="version", version=version(name))
                            st = Stack(name, mode, work)
                            try:
                                if not a.no_memory:
                                    put(round=rnd, contestant=name, scenario="mem", **memory(st, a.idle_conns))
                                put(round=rnd, contestant=name, scenario="tls", **tls_seen(st))
                            finally:
                                st.stop()
                            if "b" in spec:
                                put(round=rnd, contestant=name, scenario="wire",
                                    negotiated=sniff_server_hello(name, mode, work))
                        if not todo:
                            continue
                        st = Stack(name, mode, work)
                        try:
                            wrk(st.entry, "/", a.conns, 1, work)  # warm up, with every connection that fixed and sat will use
                            for s in todo:
                                put(round=rnd, contestant=name, scenario=s, mode=mode, threads=V["THREADS"],
                                    **measure(st, lambda: SCEN[s][1](st, work, a)))
                        finally:
                            st.stop()
                    except Exception as e:  # a broken contestant must not stop the others
                        put(round=rnd, contestant=name, scenario=mode, error=f"{type(e).__name__}: {e}")
    print("results in", a.out, "; logs and rendered configuration in", work)


if __name__ == "__main__":
    sys.exit(main())
