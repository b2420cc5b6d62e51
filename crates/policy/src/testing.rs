//! Requests and policies from short texts, for the tables of the tests.
use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use model::istio::AuthorizationPolicy;
use serde_json::Value;

use crate::{Decision, Protocol, Request, RuleSet, Workload, normalize_path};

/// The workload of all tables: `payments` in namespace `pci`.
pub(crate) fn workload() -> Workload {
    Workload {
        namespace: "pci".to_owned(),
        labels: [("app", "payments"), ("version", "v1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        root_namespace: "ward-system".to_owned(),
        trust_domain: "shop.example".to_owned(),
        aliases: vec!["old.example".to_owned()],
    }
}

/// YAML documents, separated by `---`.
pub(crate) fn policies(yaml: &str) -> Vec<AuthorizationPolicy> {
    serde_saphyr::from_multiple(yaml).expect("the test's YAML is a policy")
}

/// A policy from the flow form of its spec: `{action: DENY, rules: [{}]}`.
pub(crate) fn policy(name: &str, spec: &str) -> AuthorizationPolicy {
    let yaml = format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: pci}}\nspec: {spec}\n"
    );
    serde_saphyr::from_str(&yaml).expect("the test's YAML is a policy")
}

/// A rule set that must compile.
pub(crate) fn rules(policies: &[AuthorizationPolicy]) -> RuleSet {
    RuleSet::compile(&workload(), policies).expect("the policies compile")
}

/// What a table line says: `POST /charges as shop/orders port=8080 host=a header=x-team:a jwt={…} sni=x from=10.0.0.1`.
#[derive(Default)]
pub(crate) struct Facts {
    principal: Option<String>,
    method: String,
    path: String,
    host: String,
    headers: HeaderMap,
    source_ip: Option<std::net::IpAddr>,
    remote_ip: Option<std::net::IpAddr>,
    destination_ip: Option<std::net::IpAddr>,
    port: u16,
    tcp: bool,
    sni: Option<String>,
    jwt: Option<Value>,
}

impl Facts {
    pub(crate) fn parse(line: &str) -> Self {
        let mut facts = Self { port: 8080, ..Self::default() };
        let mut words = line.split_whitespace();
        facts.method = words.next().expect("a method").to_owned();
        if facts.method == "tcp" {
            facts.tcp = true;
            facts.method.clear();
        } else {
            facts.path =
                normalize_path(words.next().expect("a path")).expect("a path that is not refused").into_owned();
        }
        while let Some(word) = words.next() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match key {
                // `ns/sa` of the own trust domain, or a whole URI.
                "as" => {
                    let who = words.next().expect("somebody");
                    facts.principal = Some(match who.split_once('/') {
                        Some((ns, sa)) if !who.contains("://") => format!("spiffe://shop.example/ns/{ns}/sa/{sa}"),
                        _ => who.to_owned(),
                    });
                }
                "port" => facts.port = value.parse().expect("a port"),
                "host" => facts.host = value.to_owned(),
                "from" => facts.source_ip = Some(value.parse().expect("an address")),
                "remote" => facts.remote_ip = Some(value.parse().expect("an address")),
                "at" => facts.destination_ip = Some(value.parse().expect("an address")),
                "sni" => facts.sni = Some(value.to_owned()),
                "jwt" => facts.jwt = Some(serde_json::from_str(value).expect("claims")),
                "header" => {
                    let (name, value) = value.split_once(':').expect("name:value");
                    // `_` stands for a blank, as words are split at blanks.
                    facts.headers.append(
                        name.parse::<HeaderName>().expect("a header name"),
                        HeaderValue::from_str(&value.replace('_', " ")).expect("a header value"),
                    );
                }
                _ => panic!("unknown word `{word}`"),
            }
        }
        facts
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            principal: self.principal.as_deref(),
            method: &self.method,
            path: &self.path,
            host: &self.host,
            headers: &self.headers,
            source_ip: self.source_ip,
            remote_ip: self.remote_ip,
            destination_ip: self.destination_ip,
            port: self.port,
            protocol: if self.tcp { Protocol::Tcp } else { Protocol::Http },
            sni: self.sni.as_deref(),
            jwt: self.jwt.as_ref(),
        }
    }
}

/// One line for each request: what was decided, by which rule, for which reason.
pub(crate) fn decide(set: &RuleSet, requests: &str) -> String {
    let mut out = String::new();
    for line in requests.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let facts = Facts::parse(line);
        let decision = set.decide(&facts.request());
        let word = if matches!(decision, Decision::Allow(_)) { "allow" } else { "deny " };
        write!(out, "{word} {:<17} {line}", decision.reason().as_str()).expect("a string takes it");
        if let Some(rule) = decision.rule() {
            write!(out, "  <- {}[{}]", set.policy_name(rule), rule.rule).expect("a string takes it");
        }
        out.push('\n');
    }
    out
}

/// A model from its YAML, with further documents beside it.
pub(crate) fn model(yaml: &str) -> model::Model {
    let file = model::SourceFile { name: "ward.yaml".to_owned(), text: yaml.to_owned() };
    let loaded = model::load(&[file]);
    loaded.model.unwrap_or_else(|| panic!("the test's model is refused: {:#?}", loaded.diagnostics))
}

/// The shop of the design, and one node for each thing that is special.
pub(crate) const SHOP: &str = r#"
ward: 1
model: shop
trust_domain: shop.example
zones:
  internet: { trust: none }
  edge: {}
  shop: {}
  pci: { in: shop }
data:
  order: { class: internal }
  card: { class: restricted, of: pan }
nodes:
  customer: { kind: party, zone: internet }
  partner: { kind: party, zone: internet, auth: mtls }
  gateway: { kind: service, zone: edge, role: gateway, listen: [{ port: 8443, hosts: [shop.example], tls: auto }] }
  orders: { kind: service, zone: shop, run: { command: [./shop, orders] } }
  payments: { kind: service, zone: pci, run: { command: [./shop, payments] } }
  orders-db: { kind: store, zone: shop, serves: [{ port: 5432, protocol: postgres }], run: { command: [./postgres.sh] } }
  ledger: { kind: store, zone: pci, serves: [{ port: 9000, protocol: http }, { port: 9001, protocol: tcp }], run: { command: [./ledger] } }
  attic: { kind: service, zone: shop, run: { command: [./attic] } }
  bank: { kind: service, zone: internet, endpoints: [bank.example:443] }
flows:
  - { id: checkout, from: customer, to: gateway, carries: [order] }
  - { id: bulk, from: partner, to: gateway, carries: [order], via: { allow: ["POST /bulk"] } }
  - { id: place, from: gateway, to: orders, carries: [order], via: { allow: ["GET /orders/{*}", "POST /orders"], audit: high, cors: true } }
  - { id: charge, from: orders, to: payments, carries: [card], via: { allow: ["POST /charges"], audit: critical } }
  - { id: save, from: orders, to: orders-db, carries: [order] }
  - { id: book, from: payments, to: ledger, carries: [order], via: { port: 9001 } }
  - { id: nothing, from: orders, to: ledger, carries: [order], via: { port: 9000, allow: [] } }
  - { id: settle, from: payments, to: bank, carries: [card] }
  - { id: break-glass, from: orders, to: attic, carries: [order], standby: true }
tests:
  - { from: gateway, to: payments, request: "POST /charges", expect: deny }
  - { from: orders, to: payments, request: "POST /charges", expect: allow }
  - { from: orders, to: payments, request: "POST /refunds", expect: allow }
  - { from: orders, to: orders-db, expect: allow }
"#;
