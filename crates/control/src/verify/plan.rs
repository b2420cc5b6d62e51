//! What to try: a pure function of the model and of what runs.
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use http::HeaderMap;
use model::{
    Auth, Flow, ListenTls, Mode, Model, Node, NodeKind, Protocol, Role, Serve,
    allow::{AllowEntry, PathPattern, Segment},
};

use super::{Expect, Variant};
use crate::snapshot::active;

/// What fills a wildcard of a path.
const FILLER: &str = "ward-probe";

/// What is known of a node that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// netns, loopback or host.
    pub isolation: String,
    /// Where it is, and sends from.
    pub address: Option<IpAddr>,
}

/// One thing to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The flow it belongs to.
    pub flow: Option<String>,
    /// Source node.
    pub from: String,
    /// Target node.
    pub to: String,
    /// Port of the target.
    pub port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// What is varied.
    pub variant: Variant,
    /// Method; empty for opaque ports.
    pub method: String,
    /// Path; empty for opaque ports.
    pub path: String,
    /// What must happen.
    pub expect: Expect,
    /// Why it cannot be tried.
    pub unverifiable: Option<String>,
    /// What else to say of it.
    pub note: String,
}

impl Case {
    /// `GET /orders/ward-probe`, or `connect`.
    pub fn request(&self) -> String {
        match (self.method.as_str(), &self.unverifiable) {
            ("", Some(_)) if self.variant == Variant::Flow => "-".to_owned(),
            ("", _) => "connect".to_owned(),
            (method, _) => format!("{method} {}", self.path),
        }
    }
}

/// Every probe that the model asks for between the nodes that run: flows in the order written, then absent edges.
pub fn plan(model: &Model, running: &BTreeMap<String, Running>) -> Vec<Case> {
    let mut cases = Vec::new();
    for flow in model.flows.iter().filter(|f| active(f)) {
        of_flow(model, flow, running, &mut cases);
    }
    for from in running.keys() {
        for (to, target) in model.nodes.iter().filter(|(to, n)| to.as_str() != from && has_mesh_port(n)) {
            if running.contains_key(to.as_str()) {
                absent(model, from, to.as_str(), target, &mut cases);
            }
        }
    }
    cases
}

/// A node whose served ports stand behind a sidecar.
fn has_mesh_port(node: &Node) -> bool {
    node.under_ward() && node.role.is_none() && !node.serves.is_empty()
}

fn of_flow(model: &Model, flow: &Flow, running: &BTreeMap<String, Running>, cases: &mut Vec<Case>) {
    let (Some(source), Some(target)) = (model.nodes.get(&flow.from), model.nodes.get(&flow.to)) else { return };
    if !source.under_ward() && !target.under_ward() {
        return; // described only: there is nothing of ours to try
    }
    let open = |why: String, cases: &mut Vec<Case>| {
        let port = target.listen.first().map(|l| l.port).or(target.serves.first().map(|s| s.port)).unwrap_or_default();
        let protocol = target.serves.first().map_or(Protocol::Http, |s| s.protocol);
        cases.push(Case {
            unverifiable: Some(why),
            ..base(flow, port, protocol, Variant::Flow, ("", ""), Expect::Pass)
        });
    };
    if target.role == Some(Role::Gateway) && source.kind == NodeKind::Party {
        if source.auth == Some(Auth::Mtls) {
            return open(format!("`{}` comes with a certificate of its own, which nobody else has", flow.from), cases);
        }
        if !running.contains_key(flow.to.as_str()) {
            return open(format!("no instance of `{}` that answers is connected", flow.to), cases);
        }
        if !target.listen.iter().any(|l| l.tls == ListenTls::Auto) {
            return open(format!("no listener of `{}` has a certificate of ours to know it by", flow.to), cases);
        }
        let isolation = running.get(flow.to.as_str()).map(|r| r.isolation.as_str()).unwrap_or_default();
        // We ask a gateway of this machine from this machine.
        let from = (isolation == "host").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        return at_gateway(model, flow, target, from, cases);
    }
    if !has_mesh_port(target) {
        return open(format!("`{}` has no sidecar that could answer a probe", flow.to), cases);
    }
    if !source.under_ward() {
        return open(format!("`{}` is not under Ward: nobody can send from there", flow.from), cases);
    }
    for (name, side) in [(&flow.from, "sends"), (&flow.to, "answers")] {
        if !running.contains_key(name.as_str()) {
            return open(format!("no instance of `{name}` that {side} is connected"), cases);
        }
    }
    let isolation = running.get(flow.to.as_str()).map(|r| r.isolation.as_str()).unwrap_or_default();
    for serve in model.ports_of(flow) {
        let source_ip = running.get(flow.from.as_str()).and_then(|r| r.address);
        on_port(model, flow, target, serve, (isolation, source_ip), cases);
    }
}

/// What a party may do and what it could try, at the listeners whose certificate is ours, so that we know whom we ask.
fn at_gateway(model: &Model, flow: &Flow, gateway: &Node, source_ip: Option<IpAddr>, cases: &mut Vec<Case>) {
    let undeclared = format!("/{FILLER}/undeclared");
    // A flow without `allow` routes every path.
    let routed = |f: &Flow| f.via.allow.as_ref().is_none_or(|all| all.iter().any(|e| e.matches("GET", &undeclared)));
    let open = model.flows_from(flow.to.as_str()).any(|f| active(f) && routed(f));
    let requests = asked(model, flow);
    let headers = HeaderMap::new();
    for listen in gateway.listen.iter().filter(|l| l.tls == ListenTls::Auto) {
        let case = |variant, request| base(flow, listen.port, Protocol::Http, variant, request, Expect::Fail);
        for (method, path) in &requests {
            let asked = policy::Request {
                method,
                path,
                host: listen.hosts.first().map(String::as_str).unwrap_or_default(),
                source_ip,
                remote_ip: source_ip,
                ..policy::Request::tcp(&headers, listen.port)
            };
            let asked = policy::Request { protocol: policy::Protocol::Http, ..asked };
            let case = Case { expect: Expect::Pass, ..case(Variant::Flow, (method, path)) };
            cases.push(as_allowed(model, flow, &asked, case));
        }
        let first = requests.first().map(|(method, path)| case(Variant::Flow, (method, path)));
        cases.extend(first.and_then(|first| with_token(model, flow, first)));
        if !open {
            cases.push(case(Variant::WrongRequest, ("GET", &undeclared)));
        }
        cases.push(case(Variant::Plaintext, ("GET", "/")));
    }
}

/// The requests of a flow into a gateway: its own, else those that the gateway sends on.
fn asked(model: &Model, flow: &Flow) -> Vec<(String, String)> {
    let on = || model.flows_from(flow.to.as_str()).filter(|f| active(f)).flat_map(|f| f.via.allow.iter().flatten());
    match &flow.via.allow {
        None if on().next().is_some() => on().map(|e| (method_of(e, Protocol::Http), filled(&e.path))).collect(),
        _ => requests_of(flow, Protocol::Http),
    }
}

fn on_port(
    model: &Model,
    flow: &Flow,
    target: &Node,
    serve: &Serve,
    (isolation, source_ip): (&str, Option<IpAddr>),
    cases: &mut Vec<Case>,
) {
    let allowed = requests_of(flow, serve.protocol);
    let principal = model.spiffe_id(flow.from.as_str());
    let headers = HeaderMap::new();
    for (method, path) in &allowed {
        let asked = policy::Request {
            principal: principal.as_ref().map(model::SpiffeId::as_str),
            source_ip,
            remote_ip: source_ip,
            ..policy::Request::tcp(&headers, serve.port)
        };
        let asked = match serve.protocol.is_http() {
            true => policy::Request { method, path, protocol: policy::Protocol::Http, ..asked },
            false => asked,
        };
        let case = base(flow, serve.port, serve.protocol, Variant::Flow, (method, path), Expect::Pass);
        cases.push(as_allowed(model, flow, &asked, case));
    }
    if let Some((method, path)) = allowed.first() {
        let case = base(flow, serve.port, serve.protocol, Variant::Flow, (method, path), Expect::Pass);
        cases.extend(with_token(model, flow, case));
    }
    let dry = target.mode.unwrap_or(model.mesh.mode) == Mode::DryRun;
    if let Some((method, path)) = outside(model, flow, serve) {
        let request = (method.as_str(), path.as_str());
        let case = base(flow, serve.port, serve.protocol, Variant::WrongRequest, request, Expect::Fail);
        cases.push(in_dry_run(case, dry));
    }
    let fallback = neutral(serve.protocol);
    let (method, path) = allowed.first().unwrap_or(&fallback);
    let fails = |variant| base(flow, serve.port, serve.protocol, variant, (method, path), Expect::Fail);
    cases.push(in_dry_run(fails(Variant::WrongIdentity), dry));
    for variant in [Variant::NoCertificate, Variant::Plaintext, Variant::ExpiredSvid, Variant::ForeignAuthority] {
        cases.push(fails(variant));
    }
    let mut case = fails(Variant::AppPort);
    (case.method, case.path) = neutral(Protocol::Tcp);
    if isolation != "netns" {
        case.unverifiable = Some(format!(
            "bypassable: without a network namespace of its own (isolation `{isolation}`) the application's port is open to this machine; run `ward up` as root"
        ));
    }
    cases.push(case);
}

fn absent(model: &Model, from: &str, to: &str, target: &Node, cases: &mut Vec<Case>) {
    for serve in &target.serves {
        let reaches =
            |f: &&Flow| active(f) && f.from.as_str() == from && model.ports_of(f).any(|s| s.port == serve.port);
        if model.flows_to(to).any(|f| reaches(&f)) {
            continue;
        }
        // A request that somebody else may make differs in nothing but who makes it.
        let others = model.flows_to(to).filter(|f| active(f) && model.ports_of(f).any(|s| s.port == serve.port));
        let request = others.flat_map(|f| requests_of(f, serve.protocol)).next();
        let (method, path) = request.unwrap_or_else(|| neutral(serve.protocol));
        let case = Case {
            flow: None,
            from: from.to_owned(),
            to: to.to_owned(),
            port: serve.port,
            protocol: serve.protocol,
            variant: Variant::AbsentEdge,
            method,
            path,
            expect: Expect::Fail,
            unverifiable: None,
            note: String::new(),
        };
        cases.push(in_dry_run(case, target.mode.unwrap_or(model.mesh.mode) == Mode::DryRun));
    }
}

fn base(
    flow: &Flow,
    port: u16,
    protocol: Protocol,
    variant: Variant,
    (method, path): (&str, &str),
    expect: Expect,
) -> Case {
    Case {
        flow: Some(flow.id.to_string()),
        from: flow.from.to_string(),
        to: flow.to.to_string(),
        port,
        protocol,
        variant,
        method: method.to_owned(),
        path: path.to_owned(),
        expect,
        unverifiable: None,
        note: String::new(),
    }
}

fn in_dry_run(mut case: Case, dry: bool) -> Case {
    if dry {
        case.unverifiable = Some(format!("`{}` runs in dry-run mode: refusals are recorded and let through", case.to));
    }
    case
}

/// One request for each `allow` entry; none for `allow: []`.
fn requests_of(flow: &Flow, protocol: Protocol) -> Vec<(String, String)> {
    if !protocol.is_http() {
        return vec![neutral(protocol)];
    }
    match &flow.via.allow {
        None => vec![neutral(protocol)],
        Some(entries) => {
            entries.iter().map(|e| (method_of(e, protocol), filled(&flow.via.received_path(&e.path)))).collect()
        }
    }
}

fn method_of(entry: &AllowEntry, protocol: Protocol) -> String {
    entry.methods.first().cloned().unwrap_or_else(|| neutral(protocol).0)
}

fn filled(path: &PathPattern) -> String {
    path.segments.iter().fold(String::new(), |text, segment| match segment {
        Segment::Literal(literal) => text + "/" + literal,
        Segment::Any | Segment::Rest => text + "/" + FILLER,
    })
}

/// A request that says nothing by itself.
fn neutral(protocol: Protocol) -> (String, String) {
    match protocol {
        Protocol::Http => ("GET".to_owned(), format!("/{FILLER}")),
        Protocol::Grpc => ("POST".to_owned(), format!("/{FILLER}/Probe")),
        Protocol::Tcp | Protocol::Tls | Protocol::Postgres => (String::new(), String::new()),
    }
}

/// A request that no flow between the two allows: another method on an allowed path, else a path nobody declared.
fn outside(model: &Model, flow: &Flow, serve: &Serve) -> Option<(String, String)> {
    if !serve.protocol.is_http() {
        return None;
    }
    let siblings = model.flows_to(flow.to.as_str());
    let siblings =
        siblings.filter(|f| active(f) && f.from == flow.from && model.ports_of(f).any(|s| s.port == serve.port));
    let mut entries = Vec::new();
    for sibling in siblings {
        let received = |e: &AllowEntry| AllowEntry { path: sibling.via.received_path(&e.path), ..e.clone() };
        entries.extend(sibling.via.allow.as_ref()?.iter().map(received));
    }
    let free = |method: &str, path: &str| !entries.iter().any(|e| e.matches(method, path));
    let known = flow.via.allow.iter().flatten().map(|e| filled(&flow.via.received_path(&e.path)));
    for path in known {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            if free(method, &path) {
                return Some((method.to_owned(), path));
            }
        }
    }
    let undeclared = format!("/{FILLER}/undeclared");
    ["GET", "POST", "DELETE"].into_iter().find(|m| free(m, &undeclared)).map(|m| (m.to_owned(), undeclared.clone()))
}

/// What must become of a request that the flow allows: it passes, unless a token is needed, which a probe has not, or a
/// hand-written policy refuses it.
fn as_allowed(model: &Model, flow: &Flow, asked: &policy::Request, case: Case) -> Case {
    let target = model.nodes.get(&flow.to);
    let dry = target.and_then(|node| node.mode).unwrap_or(model.mesh.mode) == Mode::DryRun;
    if model.token_of(flow).is_some() {
        return in_dry_run(Case { variant: Variant::NoToken, expect: Expect::Fail, ..case }, dry);
    }
    match narrowed(model, flow, asked) {
        Some(by) => {
            let note = format!("the flow allows it, policy {by} narrows it");
            in_dry_run(Case { expect: Expect::Fail, note, ..case }, dry)
        }
        None => case,
    }
}

/// Of a flow that needs a token: that it passes with one cannot be tried.
fn with_token(model: &Model, flow: &Flow, case: Case) -> Option<Case> {
    let token = model.token_of(flow)?;
    let whose = token.issuer.map_or_else(|| "an issuer".to_owned(), |(name, _)| format!("`{name}`"));
    let why =
        format!("it needs a token of {whose}, which nobody else can make; that it is refused without one is tried");
    Some(Case { expect: Expect::Pass, unverifiable: Some(why), ..case })
}

/// The hand-written policy that refuses what the flow allows.
fn narrowed(model: &Model, flow: &Flow, asked: &policy::Request) -> Option<String> {
    if model.policies.is_empty() {
        return None;
    }
    let rules = policy::rule_set_for(model, flow.to.as_str()).ok()?;
    let decision = rules.decide(asked);
    let by = decision.rule().map(|rule| rules.policy_name(rule).to_owned());
    (!decision.is_allowed()).then(|| by.unwrap_or_else(|| "set".to_owned()))
}
