//! The policies of examples/shop, enforced: every line of requests.jsonl is decided by `ward policy check`, and by the
//! gateway and the sidecars of the running shop. Both give the answer that stands in the line.
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::mesh::{DEADLINE, Mesh, is_root};
use crate::{binaries::binary, eventually::eventually};

/// One line.
struct Case {
    line: Value,
}

/// What came of it: status and reason of Ward, or 200 when Ward let it through.
#[derive(Debug, PartialEq, Eq)]
struct Decided {
    status: u64,
    reason: String,
}

impl Case {
    fn text(&self, name: &str) -> &str {
        self.line[name].as_str().unwrap_or_default()
    }

    fn expected(&self) -> Decided {
        let expect = &self.line["expect"];
        Decided { status: expect[0].as_u64().unwrap(), reason: expect[1].as_str().unwrap().to_owned() }
    }
}

fn shop(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop").join(file)
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(shop("requests.jsonl")).unwrap();
    text.lines().map(|line| Case { line: serde_json::from_str(line).unwrap() }).collect()
}

/// The answers of `ward policy check`, in the order of the cases.
fn offline(cases: &[&Case], node: &str) -> Vec<Decided> {
    let mut check = Command::new(binary("ward"))
        .args(["policy", "check", "--node", node, "--policies"])
        .arg(shop(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines: String = cases.iter().map(|case| format!("{}\n", case.line)).collect();
    let mut stdin = check.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = check.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    let answers = String::from_utf8(output.stdout).unwrap();
    let decided = |line: &str| {
        let answer: Value = serde_json::from_str(line).unwrap();
        Decided { status: answer["status"].as_u64().unwrap(), reason: answer["reason"].as_str().unwrap().to_owned() }
    };
    answers.lines().map(decided).collect()
}

/// The shop in a directory of the test's own, up and running.
fn running() -> Mesh {
    let mut mesh = Mesh::new();
    for file in ["ward.yaml", "policies.yaml"] {
        let text = fs::read_to_string(shop(file)).unwrap().replace("8443", &mesh.port.to_string());
        fs::write(mesh.path("model").join(file), text).unwrap();
    }
    // The program itself, where the example has a script that looks for the newest build.
    fs::copy(binary("shop"), mesh.path("model/shop")).unwrap();
    fs::copy(shop("postgres.sh"), mesh.path("model/postgres.sh")).unwrap();
    mesh.up(&["--no-verify"]);
    mesh.event("up", "the shop is up", |_| true);
    mesh
}

/// curl in the network of a process; the answer's status and body.
fn curl(of: Option<u32>, args: &[&str]) -> Result<(u64, Value), String> {
    let mut command = match of.filter(|_| is_root()) {
        Some(pid) => {
            let mut enter = Command::new("nsenter");
            enter.args(["--net", "--target", &pid.to_string(), "curl"]);
            enter
        }
        None => Command::new("curl"),
    };
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--path-as-is",
        "--noproxy",
        "*",
        "-w",
        "\n%{http_code}",
    ]);
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').ok_or_else(|| format!("curl: {output:?}"))?;
    match status.parse() {
        Ok(status) if status > 0 => Ok((status, serde_json::from_str(body).unwrap_or_default())),
        _ => Err(format!("curl: {output:?}")),
    }
}

/// A process of the shop, and what its environment says.
struct Application {
    pid: u32,
    environment: Vec<String>,
}

impl Application {
    fn of(mesh: &Mesh, node: &str) -> Self {
        let service = |pid: u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environ).split('\0').map(str::to_owned).collect::<Vec<_>>()
        };
        let mut found = mesh.processes().into_iter().filter(|(name, _)| name.starts_with(&format!("{node}/0")));
        let (pid, environment) = found
            .find_map(|(_, pid)| {
                Some((pid, service(pid))).filter(|(_, env)| env.iter().any(|v| v.starts_with("PORT=")))
            })
            .unwrap_or_else(|| panic!("no application of {node} in {:?}", mesh.processes()));
        Self { pid, environment }
    }

    fn url(&self, node: &str) -> String {
        let name = format!("WARD_{}_URL=", node.to_uppercase());
        let found = self.environment.iter().find_map(|variable| variable.strip_prefix(&name));
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.environment)).to_owned()
    }
}

/// A customer's token, once the mesh knows the keys to check it with.
fn session(mesh: &Mesh, trust: &str) -> String {
    let url = |path: &str| format!("https://localhost:{}{path}", mesh.port);
    let account = r#"{"email":"ada@shop.example","password":"correct horse battery"}"#;
    let post = |path: &str| {
        curl(None, &["--cacert", trust, "-H", "content-type: application/json", "-d", account, &url(path)])
    };
    let token = eventually("a session", DEADLINE, || {
        post("/register")?;
        let (status, answer) = post("/login")?;
        answer["token"].as_str().map(str::to_owned).ok_or_else(|| format!("{status} {answer}"))
    });
    let bearer = format!("authorization: Bearer {token}");
    eventually("the keys of the shop are known", DEADLINE, || {
        match curl(None, &["--cacert", trust, "-H", &bearer, &url("/orders")])? {
            (200, _) => Ok(()),
            other => Err(format!("{other:?}\n{}", mesh.logs())),
        }
    });
    bearer
}

#[test]
fn the_running_shop_and_the_offline_engine_agree() {
    let cases = cases();
    for node in ["gateway", "orders", "authentication", "inventory", "payments"] {
        let of: Vec<&Case> = cases.iter().filter(|case| case.text("node") == node).collect();
        assert!(!of.is_empty());
        for (case, decided) in of.iter().zip(offline(&of, node)) {
            assert_eq!(decided, case.expected(), "offline, {node}: {}", case.text("id"));
        }
    }

    let mut mesh = running();
    let trust = mesh.state().join("trust.pem");
    let trust = trust.to_str().unwrap().to_owned();
    let bearer = session(&mesh, &trust);
    let orders = Application::of(&mesh, "orders");
    let mut wrong = Vec::new();
    let mut tried = 0;
    for case in cases.iter().filter(|case| case.line["live"] != false) {
        let node = case.text("node");
        let (of, base) = match node {
            "gateway" => (None, format!("https://localhost:{}", mesh.port)),
            other => (Some(orders.pid), orders.url(other)),
        };
        let url = format!("{base}{}", case.text("path"));
        let mut args = vec!["--cacert".to_owned(), trust.clone(), url];
        match case.text("method") {
            "HEAD" => args.push("--head".to_owned()),
            method => args.extend(["-X".to_owned(), method.to_owned()]),
        }
        for header in case.line["headers"].as_array().into_iter().flatten() {
            let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
            args.extend(["-H".to_owned(), format!("{name}: {value}")]);
        }
        if case.line["jwt"].is_object() {
            args.extend(["-H".to_owned(), bearer.clone()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (status, body) = curl(of, &args).unwrap();
        tried += 1;
        // The shop's own refusals have a `detail`; Ward's say nothing but a number.
        let by_ward = body["type"] == "about:blank" && body["detail"].is_null();
        let reason = match body["decision"].as_str() {
            Some(id) if by_ward => recorded(&mesh, id),
            _ => String::new(),
        };
        let expected = case.expected();
        let agree = match expected.status {
            200 => !by_ward && status < 500,
            // A malformed request has no decision, and so no record.
            400 => by_ward && status == 400,
            wanted => by_ward && status == wanted && reason == expected.reason,
        };
        if !agree {
            wrong.push(format!("{node}: {}: {status} {body} {reason}, not {expected:?}", case.text("id")));
        }
    }
    assert!(wrong.is_empty(), "{tried} tried:\n{}\n{}", wrong.join("\n"), mesh.logs());
    assert!(tried > 30, "{tried}");

    // AUDIT: allowed on a flow that records only refusals, and recorded all the same.
    eventually("the stock given back is recorded", DEADLINE, || {
        let listed = mesh.ward_json(&["decisions", "--node", "inventory", "--reason", "allowed"]);
        let paths: Vec<&str> =
            listed["decisions"].as_array().unwrap().iter().filter_map(|d| d["path"].as_str()).collect();
        if paths == ["/reservations/none"] { Ok(()) } else { Err(format!("{paths:?}")) }
    });
    mesh.stop();
}

/// The reason in the record of a decision, which takes a moment to get to the control plane.
fn recorded(mesh: &Mesh, id: &str) -> String {
    eventually("the decision is recorded", DEADLINE, || {
        let output = mesh.ward(&["explain", id, "-o", "json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).map_err(|_| format!("{output:?}"))?;
        assert_ne!(answer["agrees"], false, "made again, the decision is another: {answer}");
        Ok(answer["decision"]["reason"].as_str().unwrap_or_default().to_owned())
    })
}
