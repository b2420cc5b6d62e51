//! A mesh of the test's own: a model in a temporary directory, `ward up` over it, its events, and a client.
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{binaries::binary, eventually::eventually};

/// Nothing here takes nearly as long, unless the machine has other work.
pub(super) const DEADLINE: Duration = Duration::from_secs(90);

/// Gateway to web to api to db: two HTTP hops, a TCP one, and nothing else. `GATEWAY_PORT` is replaced by a free one.
pub(super) const MODEL: &str = r#"ward: 1
model: trio
trust_domain: trio.example
zones: { internet: { trust: none }, edge: {}, inner: {} }
data: { note: { class: internal } }
nodes:
  customer: { kind: party, zone: internet }
  gateway:
    kind: service
    zone: edge
    role: gateway
    listen: [{ port: GATEWAY_PORT, hosts: [localhost, 127.0.0.1], tls: none }]
  web: { kind: service, zone: inner, run: { command: [./echo-app] } }
  api: { kind: service, zone: inner, run: { command: [./echo-app] } }
  db: { kind: store, zone: inner, serves: [{ port: 5432, protocol: tcp }], run: { command: [./echo-app, tcp] } }
  # Joins by hand, with `ward run`.
  batch: { kind: service, zone: inner, attest: token, serves: [] }
flows:
  - { id: visit, from: customer, to: gateway, carries: [note] }
  - { id: browse, from: gateway, to: web, carries: [note] }
  - { id: ask, from: web, to: api, carries: [note], via: { allow: ["GET /who", "GET /tcp/{**}"] } }
  - { id: keep, from: api, to: db, carries: [note] }
  - { id: crunch, from: batch, to: api, carries: [note], via: { allow: ["GET /who"] } }
"#;

/// A model directory and, once `up` was called, the mesh over it.
pub(super) struct Mesh {
    dir: tempfile::TempDir,
    /// Where the gateway listens.
    pub(super) port: u16,
    state: PathBuf,
    up: Option<Child>,
    events: Arc<Mutex<Vec<Value>>>,
    errors: Arc<Mutex<String>>,
}

/// A status and a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Mesh {
    /// A directory with the model and its application; nothing runs.
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Applications run without the right to pass a directory that is not open to all.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("model")).unwrap();
        fs::copy(binary("echo-app"), dir.path().join("model/echo-app")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let state = dir.path().join("state");
        let mesh = Self { dir, port, state, up: None, events: Arc::default(), errors: Arc::default() };
        mesh.write_model(MODEL);
        mesh
    }

    /// A mesh that is up.
    pub(super) fn started() -> Self {
        let mut mesh = Self::new();
        mesh.up(&["--no-verify"]);
        mesh.event("up", "the mesh is up", |_| true);
        mesh
    }

    /// Replaces the model, whole.
    pub(super) fn write_model(&self, text: &str) {
        let file = self.path("model/ward.yaml");
        let text = text.replace("GATEWAY_PORT", &self.port.to_string());
        fs::write(file.with_extension("new"), text).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    }

    /// A path in the test's directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The state directory.
    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    fn socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// The `ward up` of this mesh, not started.
    pub(super) fn up_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("ward"));
        command.arg("up").arg(self.path("model")).arg("--state").arg(&self.state).arg("--socket").arg(self.socket());
        command.args(["-o", "json"]).args(args);
        command
    }

    /// Starts `ward up`.
    pub(super) fn up(&mut self, args: &[&str]) {
        self.up_with(self.up_command(args));
    }

    /// Starts `ward up` by a command of the test's own.
    pub(super) fn up_with(&mut self, mut command: Command) {
        assert!(self.up.is_none(), "it is up already");
        self.events.lock().unwrap().clear();
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (events, stdout) = (self.events.clone(), child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                events.lock().unwrap().push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let (errors, mut stderr) = (self.errors.clone(), child.stderr.take().unwrap());
        thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            errors.lock().unwrap().push_str(&text);
        });
        self.up = Some(child);
    }

    /// Waits for an event of a kind that passes `wanted`.
    pub(super) fn event(&mut self, kind: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, DEADLINE, || {
            let events = self.events.lock().unwrap();
            if let Some(found) = events.iter().find(|event| event["event"] == kind && wanted(event)) {
                return Ok(found.clone());
            }
            let ended = self.up.as_mut().and_then(|up| up.try_wait().unwrap());
            assert!(
                ended.is_none(),
                "{what}: ward up ended: {ended:?}\n{}\n{}",
                tail(&events),
                self.errors.lock().unwrap()
            );
            Err(format!("{}\n{}", tail(&events), self.logs()))
        })
    }

    /// Forgets the events so far, so that `event` sees only what comes now.
    pub(super) fn forget_events(&self) {
        self.events.lock().unwrap().clear();
    }

    /// Asks the gateway.
    pub(super) fn get(&self, path: &str) -> Result<Answer, String> {
        let mut client = Client::connect(self.port)?;
        client.get(path)
    }

    /// Asks the gateway until the answer is 200.
    pub(super) fn get_ok(&self, path: &str) -> String {
        eventually(&format!("GET {path}"), DEADLINE, || match self.get(path)? {
            Answer { status: 200, body } => Ok(body),
            other => Err(format!("{other:?}\n{}", self.logs())),
        })
    }

    /// Runs `ward` with the socket of this mesh.
    pub(super) fn ward(&self, args: &[&str]) -> Output {
        Command::new(binary("ward")).args(args).env("WARD_SOCKET", self.socket()).stdin(Stdio::null()).output().unwrap()
    }

    /// The answer of `ward … -o json`, which must succeed.
    pub(super) fn ward_json(&self, args: &[&str]) -> Value {
        let output = self.ward(&[args, &["-o", "json"]].concat());
        assert!(output.status.success(), "ward {args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A join token.
    pub(super) fn token(&self, args: &[&str]) -> String {
        let output = self.ward(&[&["token", "create"], args].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Where the control plane listens.
    pub(super) fn control(&mut self) -> String {
        let addresses = self.event("addresses", "addresses", |_| true);
        addresses["control"].as_str().unwrap().to_owned()
    }

    /// The process ids of everything that `ward up` started, by name.
    pub(super) fn processes(&self) -> Vec<(String, u32)> {
        let state = fs::canonicalize(&self.state).unwrap_or_else(|_| self.state.clone());
        let mark = format!("WARD_STATE_DIR={}", state.display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
            let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
            let environ = String::from_utf8_lossy(&environ).into_owned();
            if environ.split('\0').any(|variable| variable == mark) {
                let name = environ.split('\0').find_map(|variable| variable.strip_prefix("WARD_PROCESS="));
                found.push((name.unwrap_or_default().to_owned(), pid));
            }
        }
        found.sort();
        found
    }

    /// The process id of one of them.
    pub(super) fn pid(&self, name: &str) -> u32 {
        let found: Vec<u32> =
            self.processes().into_iter().filter(|(found, _)| found == name).map(|(_, pid)| pid).collect();
        assert_eq!(found.len(), 1, "processes called {name}: {:?}", self.processes());
        found[0]
    }

    /// Sends a signal to `ward up`.
    pub(super) fn signal(&self, signal: &str) {
        kill(signal, self.up.as_ref().unwrap().id());
    }

    /// Waits for the end of `ward up`; returns its status and what it said on standard error.
    pub(super) fn ended(&mut self) -> (ExitStatus, String) {
        let mut up = self.up.take().unwrap();
        let status = eventually("ward up ends", DEADLINE, || match up.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err(tail(&self.events.lock().unwrap())),
        });
        eventually("its standard error is closed", DEADLINE, || {
            // The reader thread holds the other one until it has everything.
            if Arc::strong_count(&self.errors) == 1 { Ok(()) } else { Err("open".to_owned()) }
        });
        let text = std::mem::take(&mut *self.errors.lock().unwrap());
        (status, text)
    }

    /// Stops the mesh and checks that nothing of it is left.
    pub(super) fn stop(&mut self) {
        self.signal("INT");
        let (status, errors) = self.ended();
        assert!(status.success(), "ward up: {status}: {errors}");
        self.nothing_left();
    }

    /// No process, network namespace or link of this mesh is there, and its port is free.
    pub(super) fn nothing_left(&self) {
        assert_eq!(self.processes(), []);
        assert_eq!(self.links(), Vec::<String>::new());
        assert_eq!(self.namespaces(), Vec::<String>::new());
        TcpListener::bind(("127.0.0.1", self.port)).unwrap();
    }

    /// Links that carry this mesh's mark.
    pub(super) fn links(&self) -> Vec<String> {
        let alias =
            format!("ward up {}", fs::canonicalize(&self.state).unwrap_or_else(|_| self.state.clone()).display());
        let of = |path: PathBuf| fs::read_to_string(path.join("ifalias")).unwrap_or_default();
        let names = fs::read_dir("/sys/class/net").unwrap().flatten();
        names
            .filter(|entry| of(entry.path()).trim() == alias)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Network namespaces named like those of `ward up`. End-to-end tests run one at a time, but the machine may have a
    /// mesh of somebody else: only namespaces of bridges that are gone count.
    fn namespaces(&self) -> Vec<String> {
        let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
        names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("ward"))
            .filter(|name| !Path::new("/sys/class/net").join(name.split('-').next().unwrap()).exists())
            .collect()
    }

    /// The last lines of all logs, for a failed test's message.
    pub(super) fn logs(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(self.state.join("logs")).into_iter().flatten().flatten() {
            let log = fs::read_to_string(entry.path()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            text += &format!("== {}\n{}\n", entry.path().display(), lines[lines.len().saturating_sub(6)..].join("\n"));
        }
        text
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // A test failed, or the process ended by itself: no panic here, there may be one already.
        let Some(mut up) = self.up.take() else { return };
        let signal = |name: &str, up: &Child| Command::new("kill").args([name, "--", &up.id().to_string()]).status();
        let _ = signal("-INT", &up);
        for _ in 0..600 {
            if up.try_wait().ok().flatten().is_some() {
                return;
            }
            thread::park_timeout(Duration::from_millis(50));
        }
        let _ = signal("-KILL", &up);
        let _ = up.wait();
    }
}

/// Sends a signal to a process.
pub(super) fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill").args([&format!("-{signal}"), "--", &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{signal} {pid}");
}

fn tail(events: &[Value]) -> String {
    let last = &events[events.len().saturating_sub(12)..];
    last.iter().map(|event| format!("{event}\n")).collect()
}

/// One connection to the gateway.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    port: u16,
}

impl Client {
    /// Connects.
    pub(super) fn connect(port: u16) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("connect: {error}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(|error| error.to_string())?;
        Ok(Self { stream: BufReader::new(stream), port })
    }

    /// Asks; the connection can be used again.
    pub(super) fn get(&mut self, path: &str) -> Result<Answer, String> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost:{}\r\n\r\n", self.port);
        self.stream.get_mut().write_all(request.as_bytes()).map_err(|error| format!("send: {error}"))?;
        read_answer(&mut self.stream)
    }
}

/// Reads one answer.
pub(super) fn read_answer(stream: &mut impl std::io::BufRead) -> Result<Answer, String> {
    let mut line = String::new();
    stream.read_line(&mut line).map_err(|error| format!("receive: {error}"))?;
    let status = line.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status in {line:?}"))?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).map_err(|error| format!("receive: {error}"))?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(|_| format!("length {value}"))?,
            "transfer-encoding" => chunked = value.trim() == "chunked",
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).map_err(|error| format!("receive: {error}"))?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| format!("chunk size {size:?}"))?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).map_err(|error| format!("receive: {error}"))?;
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else {
        body = vec![0; length];
        stream.read_exact(&mut body).map_err(|error| format!("receive: {error}"))?;
    }
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Whether tests run as root, and thus with network namespaces.
pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}
