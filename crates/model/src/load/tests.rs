//! Every diagnostic with its place, every limit at its edge, and no text that is not judged.
use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{
    DIAGNOSTICS_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_FILES_MAX, FILE_BYTES_MAX, Loaded, POLICIES_MAX, load,
    read::parse_duration, yaml,
};
use crate::{Diagnostic, Severity, SourceFile, diagnostic::CODES, words};

/// The first example of the design, as a user would write it.
const SHOP: &str = include_str!("tests/shop.yaml");

/// What every short model begins with.
const BASE: &str = "ward: 1\nmodel: m\nzones: { inside: {}, outside: { trust: none } }\n";

/// Two services under Ward and a gateway, for models that are about flows.
const NODES: &str = "\
data: { pub: { class: public }, card: { class: restricted } }
nodes:
  user: { kind: party, zone: outside }
  gw: { kind: service, zone: inside, role: gateway, listen: [{ port: 8443 }] }
  web: { kind: service, zone: inside, run: { command: [w] } }
  api: { kind: service, zone: inside, run: { command: [a] }, serves: [{ port: 8080 }, { port: 9090, protocol: grpc }] }
  db: { kind: store, zone: inside, run: { command: [d] }, serves: [{ port: 5432, protocol: postgres }] }
  saas: { kind: service, zone: outside }
";

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

fn ward(text: &str) -> Loaded {
    load(&[file("ward.yaml", text)])
}

/// `error[code] line:column `what is underlined` message; help`, a line each.
fn said(files: &[SourceFile], loaded: &Loaded) -> String {
    let mut out = String::new();
    for d in &loaded.diagnostics {
        let text = files.iter().find(|f| f.name == d.file).map_or("", |f| f.text.as_str());
        let place = &text[d.start..d.end];
        let severity = if d.severity == Severity::Error { "error" } else { "warning" };
        let file = if d.file == "ward.yaml" { "" } else { &d.file };
        let help = d.help.as_deref().unwrap_or("-");
        out += &format!("{severity}[{}] {file}{}:{} `{place}` {}; {help}\n", d.code, d.line, d.column, d.message);
    }
    assert_eq!(loaded.model.is_some(), loaded.errors() == 0, "{out}");
    out
}

fn check_files(files: &[(&str, &str)], expect: Expect) {
    let files: Vec<_> = files.iter().map(|(name, text)| file(name, text)).collect();
    expect.assert_eq(&said(&files, &load(&files)));
}

/// The whole text of ward.yaml.
fn check_whole(text: &str, expect: Expect) {
    check_files(&[("ward.yaml", text)], expect);
}

/// Sections after the zones `inside` and `outside`.
fn check(sections: &str, expect: Expect) {
    check_whole(&format!("{BASE}{sections}"), expect);
}

/// One node.
fn check_node(fields: &str, expect: Expect) {
    check(&format!("nodes:\n  n: {{ {fields} }}\n"), expect);
}

/// Flows among the nodes of `NODES`.
fn check_flows(flows: &str, expect: Expect) {
    check_whole(&format!("{BASE}{NODES}flows:\n{flows}\n"), expect);
}

/// A resource beside the nodes of `NODES`.
fn check_resource(text: &str, expect: Expect) {
    check_files(&[("policy.yaml", text), ("ward.yaml", &format!("{BASE}{NODES}"))], expect);
}

#[test]
fn the_design_loads() {
    let files = [file("ward.yaml", SHOP)];
    let loaded = load(&files);
    expect![[r#"
        warning[not-enforced] 16:67 `waf` `waf` is declared and not enforced yet; today requests are not inspected
        warning[not-enforced] 16:72 `rate` `rate` is declared and not enforced yet; today callers are not limited
        warning[not-enforced] 21:76 `volume` `volume` is described, Ward does not enforce it; today the volume must be encrypted by whoever runs the store
        warning[not-enforced] 27:40 `limit` `limit` is declared and not enforced yet; today requests are not counted against it
        warning[not-enforced] 32:1 `invariants` `invariants` is declared and not enforced yet; today they are not proved
    "#]].assert_eq(&said(&files, &loaded));
    let model = loaded.model.unwrap();
    assert_eq!(model.spiffe_id("orders").unwrap().as_str(), "spiffe://shop.example/ns/shop/sa/orders");
    assert_eq!((model.zones.len(), model.data.len(), model.nodes.len(), model.flows.len()), (4, 3, 5, 4));
    assert_eq!(model.nodes["orders"].run.as_ref().unwrap().replicas, 2);
    assert_eq!(model.flows[1].via.allow.as_ref().unwrap().len(), 2);
    assert!(!model.tests[0].expect_allow);
}

#[test]
fn no_model() {
    check_files(
        &[],
        expect![[r#"
        error[no-model] 1:1 `` there is no ward.yaml; write one, or begin with `ward init`
    "#]],
    );
    check_files(
        &[("ward.yml", "ward: 1")],
        expect![[r#"
        error[no-model] 1:1 `` there is no ward.yaml; `ward.yml` is there: name that directory, or rename the file
    "#]],
    );
    check_files(
        &[("sub/ward.yaml", "ward: 1\nmodel: m\n")],
        expect![[r#"
        error[no-model] 1:1 `` there is no ward.yaml; `sub/ward.yaml` is there: name that directory, or rename the file
    "#]],
    );
    check_whole(
        "",
        expect![[r#"
        error[no-model] 1:1 `` ward.yaml holds no model; write the model into it, or begin with `ward init`
    "#]],
    );
    check_whole(
        "# only a comment\n",
        expect![[r#"
        error[no-model] 1:1 `` ward.yaml holds no model; write the model into it, or begin with `ward init`
    "#]],
    );
    check_whole(
        "[]",
        expect![[r#"
        error[wrong-type] 1:1 `[]` expected the fields of the model, found a list; its fields are `ward`, `model`, `trust_domain`, `mesh`, `zones`, `data`, `nodes`, `flows`, `waivers`, `emergencies`, `invariants` and `tests`
    "#]],
    );
    check_whole(
        "just words",
        expect![[r#"
        error[wrong-type] 1:1 `just words` expected the fields of the model, found a single value; its fields are `ward`, `model`, `trust_domain`, `mesh`, `zones`, `data`, `nodes`, `flows`, `waivers`, `emergencies`, `invariants` and `tests`
    "#]],
    );
}

#[test]
fn versions() {
    check_whole(
        "model: m",
        expect![[r#"
        error[missing-field] 1:1 `` the model needs `ward`; begin the file with `ward: 1`
    "#]],
    );
    check_whole(
        "ward: 2\nmodel: m",
        expect![[r#"
        error[unknown-version] 1:7 `2` this version of the format is not known; this program reads version 1: write `ward: 1`
    "#]],
    );
    check_whole(
        "ward: one\nmodel: m",
        expect![[r#"
        error[unknown-version] 1:7 `one` this version of the format is not known; this program reads version 1: write `ward: 1`
    "#]],
    );
    check_whole(
        "ward: 1",
        expect![[r#"
        error[missing-field] 1:1 `ward: 1` the model needs `model`; write `model: shop`
    "#]],
    );
}

#[test]
fn not_yaml() {
    check_whole(
        "ward: 1\nmodel: m\nzones:\n	edge: {}\n",
        expect![[r#"
        error[yaml] 4:2 `` this is not YAML: tabs disallowed within this context (block indentation); indent with blanks, YAML refuses tabs
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: [m\n",
        expect![[r#"
        error[yaml] 2:8 `` this is not YAML: unclosed bracket '['; -
    "#]],
    );
    check_whole(
        "%YAML 1.2\n---\nward: 1\nmodel: m\n",
        expect![[r#"
        error[yaml] 1:1 `` this is not YAML: YAML directives are disallowed; directives are not read: leave the line out
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: *m\n",
        expect![[r#"
        error[wrong-type] 2:1 `model` expected a model, found nothing; -
        error[yaml] 2:8 `*m` no anchor `&m` stands before this alias; quote a value that begins with `*`
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: !secret m\n",
        expect![[r#"
        error[yaml] 2:16 `m` tags are not read; leave the tag out; quote a value to make it text
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: &a [*a]\n",
        expect![[r#"
        error[wrong-type] 2:11 `[*a]` expected a model, found a list; -
        error[yaml] 2:12 `*a` this alias stands for something it is part of; write the value out
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: m\n{ a: b }: c\n",
        expect![[r#"
        error[yaml] 3:1 `{ a: b }` a key must be a single word; write `key: value`; quote a key that begins with `{`, `[` or `*`
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: m\nmodel: n\n",
        expect![[r#"
        error[duplicate-key] 3:1 `model` key `model` is written twice; keep one of them
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: m\n<<: { zones: {} }\n",
        expect![[r#"
        error[unknown-field] 3:1 `<<` the model has no field `<<`; merge keys are not read: write the fields out
    "#]],
    );
}

#[test]
fn top_level() {
    check(
        "nods: {}\nxyzzy: 1\n",
        expect![[r#"
        error[unknown-field] 4:1 `nods` the model has no field `nods`; did you mean `nodes`?
        error[unknown-field] 5:1 `xyzzy` the model has no field `xyzzy`; its fields are `ward`, `model`, `trust_domain`, `mesh`, `zones`, `data`, `nodes`, `flows`, `waivers`, `emergencies`, `invariants` and `tests`
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: My Shop\ntrust_domain: Shop.Example\n",
        expect![[r#"
        error[bad-name] 2:8 `My Shop` `My Shop` cannot name a model; use 1 to 63 lower-case letters, digits and inner hyphens, as in `my-shop`
        error[bad-name] 3:15 `Shop.Example` `Shop.Example` cannot name a trust domain; use DNS labels of lower-case letters, digits and hyphens, as in `shop.example`
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: m\ntrust_domain: a..b\n",
        expect![[r#"
        error[bad-name] 3:15 `a..b` `a..b` cannot name a trust domain; use DNS labels of lower-case letters, digits and hyphens, as in `shop.example`
    "#]],
    );
    check(
        "flows: {}\nnodes: []\ndata: words\n",
        expect![[r#"
        error[wrong-type] 4:8 `{}` expected a list of flows, found a mapping; -
        error[wrong-type] 5:8 `[]` expected a mapping of nodes, found a list; -
        error[wrong-type] 6:7 `words` expected a mapping of data, found a single value; -
    "#]],
    );
    check_whole(
        "ward: 1\nmodel: m\n---\nward: 1\nmodel: n\n",
        expect![[r#"
        error[second-model] 4:1 `ward: 1` ward.yaml holds a second model; keep one model in ward.yaml; a resource has `apiVersion` and `kind`
    "#]],
    );
}

#[test]
fn mesh() {
    check(
        "mesh: { svid_ttl: 24, root_namespace: Root, mode: dryrun, compat: isto, aliases: [Old] }\n",
        expect![[r#"
            error[bad-value] 4:19 `24` `24` is not a duration; name the unit, as in `24s`
            error[bad-name] 4:39 `Root` `Root` cannot name a namespace; use 1 to 63 lower-case letters, digits and inner hyphens, as in `root`
            error[unknown-word] 4:51 `dryrun` `dryrun` is not a mode; did you mean `dry-run`?
            error[unknown-word] 4:67 `isto` `isto` is not a compatibility; did you mean `istio`?
            error[bad-name] 4:83 `Old` `Old` cannot name a trust domain; use DNS labels of lower-case letters, digits and hyphens, as in `shop.example`
        "#]],
    );
    check(
        "mesh: { svid_ttl: 5s }\n",
        expect![[r#"
        error[bad-value] 4:19 `5s` this lifetime is out of bounds; an SVID lives from 10s to 30d; 24h is the default
    "#]],
    );
    check(
        "mesh: { svid_ttl: 31d }\n",
        expect![[r#"
        error[bad-value] 4:19 `31d` this lifetime is out of bounds; an SVID lives from 10s to 30d; 24h is the default
    "#]],
    );
    check(
        r#"mesh: { tls: { min: "1.2", suites: [TLS_AES_128_GCM_SHA265], groups: [X25519], max: 1 } }
"#,
        expect![[r#"
            error[weak-tls] 4:21 `"1.2"` traffic between nodes cannot be weaker than TLS 1.3; sidecars speak TLS 1.3 only: write "1.3" or leave it out
            warning[not-enforced] 4:28 `suites` `tls.suites` is declared and not enforced yet; today the default suites are offered
            error[unknown-word] 4:37 `TLS_AES_128_GCM_SHA265` `TLS_AES_128_GCM_SHA265` is not a TLS 1.3 cipher suite; did you mean `TLS_AES_128_GCM_SHA256`?
            warning[not-enforced] 4:62 `groups` `tls.groups` is declared and not enforced yet; today the default groups are offered
            error[unknown-field] 4:80 `max` mesh.tls has no field `max`; its fields are `min`, `suites` and `groups`
        "#]],
    );
    check(
        "mesh: { mode: dry-run, federates_with: [partner.example], issuers: {}, providers: {}, telemetry: {}, compat: istio }\n",
        expect![[r#"
            warning[not-enforced] 4:24 `federates_with` `federates_with` is declared and not enforced yet; today other trust domains are refused
            warning[not-enforced] 4:72 `providers` `providers` is declared and not enforced yet; today no external decision is asked for
            warning[not-enforced] 4:87 `telemetry` `telemetry` is declared and not enforced yet; today metrics and logs have their defaults
        "#]],
    );
}

#[test]
fn zones() {
    check_whole(
        "ward: 1\nmodel: m\nzones: { a: { in: c }, b: { in: a }, c: { in: b }, d: { in: a }, e: { in: e } }\n",
        expect![[r#"
            error[zone-cycle] 3:19 `c` zone `a` lies in itself: a in c in b in a; remove one `in`
            error[zone-cycle] 3:75 `e` zone `e` lies in itself: e in e; remove one `in`
        "#]],
    );
    check_whole(
        "ward: 1\nmodel: m\nzones: { a: { in: aa }, Edge_1: {}, bb: { trust: hihg, regoin: eu } }\n",
        expect![[r#"
            error[unknown-zone] 3:19 `aa` no zone is named `aa`; did you mean `a`?
            error[bad-name] 3:25 `Edge_1` `Edge_1` cannot name a zone; use 1 to 63 lower-case letters, digits and inner hyphens, as in `edge-1`
            error[unknown-word] 3:50 `hihg` `hihg` is not a level of trust; did you mean `high`?
            error[unknown-field] 3:56 `regoin` a zone has no field `regoin`; did you mean `region`?
        "#]],
    );
}

#[test]
fn data() {
    check(
        "data: { a: {}, b: { class: seecret }, c: { class: public, opens: [x] }, d: { class: secret, copy_of: e, ttl: soon } }\n",
        expect![[r#"
            error[missing-field] 4:9 `a` data needs `class`; write `class: internal`
            error[unknown-word] 4:28 `seecret` `seecret` is not a class of data; did you mean `secret`?
            error[misplaced-word] 4:59 `opens` only a secret opens nodes; write `class: secret`, or leave `opens` out
            error[unknown-node] 4:67 `x` no node is named `x`; declare it under `nodes`
            error[unknown-data] 4:102 `e` no datum is named `e`; declared are `a`, `b`, `c` and `d`
            error[bad-value] 4:110 `soon` `soon` is not a duration; write numbers with a unit of ms, s, m, h, d, w or y, as in `30m` or `1h30m`
        "#]],
    );
    check(
        "data: { a: { class: public, copy_of: b }, b: { class: public, copy_of: a } }\n",
        expect![[r#"
        error[copy-cycle] 4:38 `b` `a` is a copy of itself; remove one `copy_of`
    "#]],
    );
    check(
        "data: { a: { class: public, about: adult, encrypt: yes, residency: eu, retention: 10y } }\n",
        expect![[r#"
        error[unknown-word] 4:36 `adult` `adult` is not whom data is about; it is one of `person` and `child`
        error[unknown-word] 4:52 `yes` `yes` is not a demand on encryption; it is one of `required`
        error[wrong-type] 4:68 `eu` expected a list of regions, found a single value; write `[eu]`
    "#]],
    );
}

#[test]
fn nodes() {
    check_node(
        "",
        expect![[r#"
        error[missing-field] 5:3 `n` a node needs `kind`; write `kind: service`
        error[missing-field] 5:3 `n` a node needs `zone`; write `zone: inside`
    "#]],
    );
    check_node(
        "kind: servce, zone: insid",
        expect![[r#"
        error[unknown-word] 5:14 `servce` `servce` is not a kind of node; did you mean `service`?
        error[unknown-zone] 5:28 `insid` no zone is named `insid`; did you mean `inside`?
    "#]],
    );
    check_node(
        "kind: service, zone: nowhere, exposed_to: [outsde], holds: [x], reads: [y]",
        expect![[r#"
        error[unknown-zone] 5:29 `nowhere` no zone is named `nowhere`; declared are `inside` and `outside`
        error[unknown-zone] 5:51 `outsde` no zone is named `outsde`; did you mean `outside`?
        error[unknown-data] 5:68 `x` no datum is named `x`; declare it under `data`
        error[unknown-data] 5:80 `y` no datum is named `y`; declare it under `data`
    "#]],
    );
    check_node(
        "kind: party, zone: outside, role: gateway, listen: [], run: { command: [x] }, guards: [waf], at_rest: kms",
        expect![[r#"
            error[misplaced-word] 5:36 `role` a party has no `role`: nobody runs it for you; write `kind: service`, or leave it out
            error[misplaced-word] 5:51 `listen` a party has no `listen`: nobody runs it for you; write `kind: service`, or leave it out
            error[missing-field] 5:51 `listen` a gateway listens on at least one port; write `listen: [{ port: 8443, hosts: [shop.example], tls: auto }]`
            error[misplaced-word] 5:63 `run` a party has no `run`: nobody runs it for you; write `kind: service`, or leave it out
            error[misplaced-word] 5:63 `run` a node with a `role` is ward-proxy itself and runs nothing; leave `run` out
            error[misplaced-word] 5:86 `guards` a party has no `guards`: nobody runs it for you; write `kind: service`, or leave it out
            warning[not-enforced] 5:95 `waf` `waf` is declared and not enforced yet; today requests are not inspected
            error[misplaced-word] 5:101 `at_rest` a party has no `at_rest`: nobody runs it for you; write `kind: service`, or leave it out
            warning[not-enforced] 5:110 `kms` `kms` is described, Ward does not enforce it; today the key service must be set up by whoever runs the store
        "#]],
    );
    check_node(
        "kind: service, zone: inside, keys: [k], listen: [{ port: 1 }]",
        expect![[r#"
        error[misplaced-word] 5:37 `keys` only a party has `keys`; write `kind: party`, or leave it out
        error[misplaced-word] 5:48 `listen` only a gateway has `listen`; write `role: gateway`, or `serves` for ports inside the mesh
    "#]],
    );
    check_node(
        "kind: store, zone: inside, role: gateway, listen: [{ port: 1 }]",
        expect![[r#"
        error[misplaced-word] 5:35 `role` a store has no `role`; write `kind: service`
    "#]],
    );
    check_node(
        "kind: service, zone: inside, role: gateway",
        expect![[r#"
        error[missing-field] 5:3 `n` a gateway needs `listen`; write `listen: [{ port: 8443, hosts: [shop.example], tls: auto }]`
    "#]],
    );
    check_node(
        "kind: service, zone: inside, role: gateway, listen: []",
        expect![[r#"
        error[missing-field] 5:52 `listen` a gateway listens on at least one port; write `listen: [{ port: 8443, hosts: [shop.example], tls: auto }]`
    "#]],
    );
    check_node(
        "kind: service, zone: inside, role: gateway, run: { command: [x] }, serves: [{ port: 80 }], listen: [{ port: 80, hosts: [Shop.Example, '*.shop.example', 'a:80', 'a b', 127.0.0.1] }, { port: 80, tls: { cert: c } }, { port: 81, tls: atuo }]",
        expect![[r#"
            error[misplaced-word] 5:52 `run` a node with a `role` is ward-proxy itself and runs nothing; leave `run` out
            error[misplaced-word] 5:75 `serves` a gateway listens, it serves nothing inside the mesh; write its ports under `listen`
            error[bad-value] 5:128 `Shop.Example` `Shop.Example` is not a host name; write `shop.example`
            error[bad-value] 5:142 `'*.shop.example'` `*.shop.example` is not a host name; wildcard hosts are not read yet: list the names, or leave `hosts` out for any
            error[bad-value] 5:160 `'a:80'` `a:80` is not a host name; leave the port out
            error[bad-value] 5:168 `'a b'` `a b` is not a host name; write a DNS name in lower case, as in `shop.example`
            error[duplicate-port] 5:197 `80` port 80 is written twice; keep one of them
            error[missing-field] 5:201 `tls` the TLS of a listener needs `key`; write `key: tls/shop.key`
            error[unknown-word] 5:238 `atuo` `atuo` is not the TLS of a listener; did you mean `auto`?
        "#]],
    );
    check_node(
        "kind: service, zone: inside, run: {}",
        expect![[r#"
        error[missing-field] 5:37 `run` run needs `command`; write `command: [./orders]`
    "#]],
    );
    check_node(
        "kind: service, zone: inside, run: { command: [] , replicas: 0, env: { PORT: 1, WARD_X: 1, 1A: 2, EMPTY: '', OK: 3 }, user: [] }",
        expect![[r#"
            error[missing-field] 5:53 `[]` the command is empty; write the program and its arguments, as in `[./orders, --verbose]`
            error[bad-value] 5:68 `0` `0` is not a number of instances; write a whole number from 1 to 1000
            error[reserved-name] 5:78 `PORT` Ward sets `PORT` for every application; leave it out
            error[reserved-name] 5:87 `WARD_X` Ward sets `WARD_X` for every application; leave it out
            error[bad-name] 5:98 `1A` `1A` cannot name an environment variable; use letters, digits and underscores
            error[wrong-type] 5:131 `[]` expected a user, found a list; -
        "#]],
    );
    check_node(
        "kind: service, zone: inside, run: { command: ./orders --fast }",
        expect![[r#"
            error[wrong-type] 5:53 `./orders --fast` expected a list of words, found a single value; write `[./orders, --fast]`
        "#]],
    );
    check_node(
        "kind: service, zone: inside, run: { command: [x] }, serves: [{ port: 8080 }, { port: 8080, protocol: htp }, { port: 15008 }, { port: 0 }, { port: '80' }, { protocol: tcp }, 8081]",
        expect![[r#"
            error[duplicate-port] 5:93 `8080` port 8080 is written twice; keep one of them
            error[unknown-word] 5:109 `htp` `htp` is not a protocol; did you mean `http`?
            error[reserved-port] 5:116 `{ port: 15008 }` port 15008 belongs to the sidecar; use a port outside 15000 to 15999
            error[bad-value] 5:141 `0` `0` is not a port; write a whole number from 1 to 65535
            error[wrong-type] 5:154 `'80'` expected a port, found a single value; write the number without quotes
            error[missing-field] 5:162 `{ protocol: tcp }` a served port needs `port`; write `port: 8080`
            error[wrong-type] 5:181 `8081` expected the fields of a served port, found a single value; its fields are `port` and `protocol`
        "#]],
    );
    check_node(
        "kind: service, zone: inside, hostile: yes, logs: maybe, rotates: 1, privilege: root, auth: passwd, port: x, mode: off, at_rest: volumes",
        expect![[r#"
            error[wrong-type] 5:46 `yes` expected true or false, found `yes`; write `true`
            error[wrong-type] 5:57 `maybe` expected true or false, found `maybe`; write `true` or `false`
            error[wrong-type] 5:73 `1` expected true or false, found `1`; write `true` or `false`
            error[unknown-word] 5:87 `root` `root` is not a privilege; it is one of `admin`
            error[unknown-word] 5:99 `passwd` `passwd` is not a way of authentication; did you mean `password`?
            error[bad-value] 5:113 `x` `x` is not a port; write a whole number from 1 to 65535
            error[unknown-word] 5:122 `off` `off` is not a mode; it is one of `enforce` and `dry-run`
            error[unknown-word] 5:136 `volumes` `volumes` is not a kind of encryption at rest; did you mean `volume`?
        "#]],
    );
    check_node(
        "kind: service, zone: inside, endpoints: ['db.example:5432', '[::1]:80', '::1:80', 'a b', 'x:0', plain]",
        expect![[r#"
            error[bad-value] 5:80 `'::1:80'` `::1:80` is not an address; write a host and a port, as in `db.example:5432` or `[::1]:5432`
            error[bad-value] 5:90 `'a b'` `a b` is not an address; write a host and a port, as in `db.example:5432` or `[::1]:5432`
            error[bad-value] 5:97 `'x:0'` `x:0` is not an address; write a host and a port, as in `db.example:5432` or `[::1]:5432`
        "#]],
    );
    check_node(
        "kind: service, zone: inside, namespace: My_Ns, attest: tpm, guards: [waf, wav], at_rest: volume, mode: dry-run",
        expect![[r#"
            error[bad-name] 5:48 `My_Ns` `My_Ns` cannot name a namespace; use 1 to 63 lower-case letters, digits and inner hyphens, as in `my-ns`
            warning[not-enforced] 5:63 `tpm` `attest` is declared and not enforced yet; today the node joins with a token, whatever it attests
            warning[not-enforced] 5:77 `waf` `waf` is declared and not enforced yet; today requests are not inspected
            error[unknown-word] 5:82 `wav` `wav` is not a guard; did you mean `waf`?
            warning[not-enforced] 5:97 `volume` `volume` is described, Ward does not enforce it; today the volume must be encrypted by whoever runs the store
        "#]],
    );
    check_node(
        "kind: service, zone: inside, role: egress",
        expect![[r#"
        warning[not-enforced] 5:43 `egress` `role: egress` is declared and not enforced yet; today no proxy sends to the outside for it
    "#]],
    );
    check(
        "nodes: { Web: { kind: service, zone: inside }, -x: { kind: service, zone: inside } }\n",
        expect![[r#"
        error[bad-name] 4:10 `Web` `Web` cannot name a node; use 1 to 63 lower-case letters, digits and inner hyphens, as in `web`
        error[bad-name] 4:48 `-x` `-x` cannot name a node; use 1 to 63 lower-case letters, digits and inner hyphens, as in `x`
    "#]],
    );
}

#[test]
fn names_are_unique() {
    check(
        "data: { inside: { class: public }, x: { class: public } }\nnodes: { x: { kind: party, zone: outside } }\nflows: [{ id: f, from: x, to: x }, { id: f, from: x, to: x }]\n",
        expect![[r#"
            error[duplicate-name] 4:9 `inside` `inside` already names a zone, on line 3; every noun of a model has its own name
            error[duplicate-name] 5:10 `x` `x` already names data, on line 4; every noun of a model has its own name
            error[duplicate-name] 6:42 `f` `f` already names a flow, on line 6; every noun of a model has its own name
        "#]],
    );
}

#[test]
fn names_of_ward_itself() {
    let model = "ward: 1\nmodel: m\nmesh: { root_namespace: roof }\nzones: { edge: {}, roof: {} }\nnodes:\n  \
        ward-control: { kind: service, zone: edge, run: { command: [./a] } }\n  \
        ward-probe: { kind: party, zone: edge, auth: mtls }\n  \
        a: { kind: service, zone: roof }\n  \
        b: { kind: service, zone: edge, namespace: roof }\n  \
        c: { kind: service, zone: roof, namespace: edge }\n";
    check_whole(
        model,
        expect![[r#"
        error[reserved-name] 6:3 `ward-control` `ward-control` is the name of one of Ward's own identities; give the node another name
        error[reserved-name] 7:3 `ward-probe` `ward-probe` is the name of one of Ward's own identities; give the node another name
        warning[not-enforced] 7:48 `mtls` `mtls` is declared and not enforced yet; today parties are not issued SVIDs, so its flows are refused
        error[reserved-name] 8:29 `roof` namespace `roof` is the mesh's root namespace, where only Ward's own identities are; write another `namespace` for the node, or another `root_namespace` under `mesh`
        error[reserved-name] 9:46 `roof` namespace `roof` is the mesh's root namespace, where only Ward's own identities are; write another `namespace` for the node, or another `root_namespace` under `mesh`
    "#]],
    );
}

#[test]
fn long_server_names() {
    check_whole(
        "ward: 1\nmodel: m\ntrust_domain: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nzones: { zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz: {} }\nnodes: { n: { kind: service, zone: zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz, attest: token } }\n",
        expect![[r#"
            error[name-too-long] 5:10 `n` `n.zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` is too long for a TLS server name; shorten the node, its namespace or the trust domain
        "#]],
    );
}

#[test]
fn flows() {
    check_flows(
        "  - {}",
        expect![[r#"
        error[missing-field] 13:5 `{}` a flow needs `id`; write `id: place-order`
        error[missing-field] 13:5 `{}` a flow needs `from`; write `from: web`
        error[missing-field] 13:5 `{}` a flow needs `to`; write `to: orders`
    "#]],
    );
    check_flows(
        "  - { id: f, from: wbe, to: nobody, carries: [crad], returns: pub, standby: perhaps, shedule: daily, via: [] }",
        expect![[r#"
            error[unknown-node] 13:20 `wbe` no node is named `wbe`; did you mean `web`?
            error[unknown-node] 13:29 `nobody` no node is named `nobody`; declared are `api`, `db`, `gw`, `saas`, `user` and `web`
            error[unknown-data] 13:47 `crad` no datum is named `crad`; did you mean `card`?
            error[wrong-type] 13:63 `pub` expected a list of names of data, found a single value; write `[pub]`
            error[wrong-type] 13:77 `perhaps` expected true or false, found `perhaps`; write `true` or `false`
            error[unknown-field] 13:86 `shedule` a flow has no field `shedule`; did you mean `schedule`?
            error[wrong-type] 13:107 `[]` expected the fields of via, found a list; its fields are `allow`, `port`, `jwt`, `auth`, `tls`, `mtls`, `ssh`, `local`, `limit`, `timeout`, `transform`, `audit`, `region`, `cors` and `rewrite`
        "#]],
    );
    check_flows(
        "  - { id: f, from: web, to: api, via: { alow: [], audit: loud, timeout: 5, limit: fast, rewrite: api, cors: maybe, tls: 1.5, mtls: x, auth: pw, port: 99999, local: 1, region: [] } }",
        expect![[r#"
            error[unknown-field] 13:41 `alow` via has no field `alow`; did you mean `allow`?
            error[unknown-word] 13:58 `loud` `loud` is not a level of audit; did you mean `low`?
            error[bad-value] 13:73 `5` `5` is not a duration; name the unit, as in `5s`
            warning[not-enforced] 13:76 `limit` `limit` is declared and not enforced yet; today requests are not counted against it
            error[bad-value] 13:83 `fast` `fast` is not a rate; write a count and a unit of s, m, h or d, as in `50/s`
            error[bad-value] 13:98 `api` `api` is not a path prefix; write the prefix that is taken off, as in `/api`
            warning[not-enforced] 13:103 `cors` `cors` is declared and not enforced yet; today preflight requests need an `allow` entry of their own
            error[wrong-type] 13:109 `maybe` expected true or false, found `maybe`; write `true` or `false`
            error[unknown-word] 13:121 `1.5` `1.5` is not a version of TLS; it is one of `true`, `false`, `none`, `1.0`, `1.1`, `1.2` and `1.3`
            error[wrong-type] 13:132 `x` expected true or false, found `x`; write `true` or `false`
            warning[not-enforced] 13:135 `auth` `auth` is described, Ward does not enforce it; today the application itself must ask for it
            error[unknown-word] 13:141 `pw` `pw` is not a way of authentication; it is one of `none`, `password`, `key`, `token`, `iam`, `rbac`, `sigv4`, `session-token`, `mtls`, `jwt` and `oidc`
            error[bad-value] 13:151 `99999` `99999` is not a port; write a whole number from 1 to 65535
            warning[not-enforced] 13:158 `local` `local` is described, Ward does not enforce it; today traffic between nodes under Ward is mutual TLS 1.3 whatever it says
            error[wrong-type] 13:165 `1` expected true or false, found `1`; write `true` or `false`
            warning[not-enforced] 13:168 `region` `region` is declared and not enforced yet; today traffic is not kept in the region
            error[wrong-type] 13:176 `[]` expected a region, found a list; -
        "#]],
    );
    check_flows(
        "  - { id: f, from: web, to: api, via: { allow: } }",
        expect![[r#"
        error[wrong-type] 13:41 `allow` expected a list of entries such as "GET /orders/{*}", found nothing; -
    "#]],
    );
    check_flows(
        "  - { id: f, from: web, to: api, via: { allow: GET /x } }",
        expect![[r#"
            error[wrong-type] 13:48 `GET /x` expected a list of entries such as "GET /orders/{*}", found a single value; write `["GET /x"]`
        "#]],
    );
    check_flows(
        r#"  - { id: f, from: web, to: api, via: { port: 8080, allow: ['get /x', "GET /{id}", "GET /\x41/..", ok] } }"#,
        expect![[r#"
            error[bad-allow] 13:62 `get` `get` is not an HTTP method; did you mean `GET`?
            error[bad-allow] 13:77 `{id}` `{id}` is not a wildcard segment; a wildcard is a whole segment: `{*}` for one segment, `{**}` at the end for the rest
            error[bad-allow] 13:84 `"GET /\x41/.."` path segment `..` is removed from every request before it is compared; write the path that the request really asks for
            error[bad-allow] 13:100 `ok` `ok` is not `METHOD PATH`; write one or more methods, a blank and a path, as in `GET,POST /orders/{*}`, `* /{**}` or `grpc pkg.Service/Method`
        "#]],
    );
}

#[test]
fn ports() {
    check_flows(
        "  - { id: f, from: web, to: api, via: { port: 80 } }",
        expect![[r#"
        error[port-not-served] 13:47 `80` `api` does not serve port 80; it has 8080 (http), 9090 (grpc)
    "#]],
    );
    check_flows(
        r#"  - { id: f, from: web, to: db, via: { allow: ["GET /"], timeout: 1s } }"#,
        expect![[r#"
        error[allow-on-tcp] 13:40 `allow` port 5432 of `db` is postgres: its requests cannot be seen; leave it out: every connection of the flow is allowed
        error[misplaced-word] 13:58 `timeout` port 5432 of `db` is postgres: its requests cannot be seen; leave `timeout` out
    "#]],
    );
    check_flows(
        "  - { id: f, from: user, to: gw, via: { port: 443 } }",
        expect![[r#"
        error[port-not-served] 13:47 `443` `gw` does not listen on port 443; it has 8443 (http)
    "#]],
    );
    check_flows(
        "  - { id: f, from: web, to: saas, via: { port: 443 } }",
        expect![[r#"
        warning[not-enforced] 13:29 `saas` `saas` is not under Ward, so flow `f` is described and not enforced; give it `run` or `attest` if it can be
    "#]],
    );
    check(
        r#"nodes:
  a: { kind: service, zone: inside, run: { command: [a] }, serves: [] }
  b: { kind: service, zone: inside, run: { command: [b] }, serves: [{ port: 80 }, { port: 81, protocol: tcp }] }
flows:
  - { id: f, from: b, to: a }
  - { id: g, from: a, to: b, via: { allow: ["GET /"] } }
"#,
        expect![[r#"
            error[port-not-served] 8:27 `a` `a` does not serve any port; give it `serves: [{ port: 8080 }]`
            error[allow-on-tcp] 9:37 `allow` port 81 of `b` is tcp: its requests cannot be seen; pick the HTTP port with `via: { port: 80 }`
        "#]],
    );
}

#[test]
fn gateways() {
    check_flows(
        "  - { id: a, from: user, to: gw }\n  - { id: b, from: gw, to: api }",
        expect![[r#"
        error[ambiguous-port] 14:28 `api` `api` serves 8080 (http), 9090 (grpc), and a gateway cannot choose; pick one, as in `via: { port: 8080 }`
    "#]],
    );
    check_flows(
        "  - { id: b, from: gw, to: db }",
        expect![[r#"
        error[gateway-tcp] 13:28 `db` a gateway routes HTTP, and `db` serves 5432 (postgres); put an HTTP service between
    "#]],
    );
    check_flows(
        r#"  - { id: a, from: gw, to: web, via: { allow: ["GET /orders/{*}", "POST /{**}"] } }
  - { id: b, from: gw, to: api, via: { port: 8080, allow: ["PUT /orders/x", "* /orders/new"] } }
  - { id: c, from: gw, to: api, via: { port: 9090 } }"#,
        expect![[r#"
            error[route-overlap] 14:77 `"* /orders/new"` `GET /orders/new` would go to `api` by this route and to `web` by `GET /orders/{*}` of flow `a`, on line 13; make the paths or methods differ
            error[route-overlap] 15:11 `c` `GET /orders/x` would go to `api` by this route and to `web` by `GET /orders/{*}` of flow `a`, on line 13; a flow without `allow` takes every request: list its requests
        "#]],
    );
    check_flows(
        r#"  - { id: a, from: gw, to: web, via: { allow: ["GET /"] } }
  - { id: b, from: gw, to: web, via: { allow: ["GET /"], audit: high } }"#,
        expect![[r#""#]],
    );
    check_flows(
        "  - { id: a, from: web, to: gw }",
        expect![[r#"
        error[not-yet] 13:29 `gw` `web` is under Ward, and gateways receive from outside only; send to the node behind the gateway
    "#]],
    );
    check_flows(
        r#"  - { id: a, from: web, to: api, via: { port: 8080, rewrite: /api } }
  - { id: b, from: gw, to: web, via: { rewrite: /api } }
  - { id: c, from: gw, to: api, via: { port: 8080, rewrite: /v1, allow: ["GET /v1/x", "GET /v2/x"] } }
  - { id: d, from: gw, to: web, via: { rewrite: /, allow: [] } }"#,
        expect![[r#"
            error[misplaced-word] 13:62 `/api` only a gateway strips a prefix; leave `rewrite` out
            error[bad-value] 14:49 `/api` a flow without `allow` also takes paths outside `/api`; write `allow: ["* /api/{**}"]`
            error[bad-value] 15:61 `/v1` `GET /v2/x` does not begin with `/v1`; every entry of `allow` is written with the prefix
            error[route-overlap] 15:74 `"GET /v1/x"` `GET /v1/x` would go to `api` by this route and to `web` by `* /{**}` of flow `b`, on line 14; a flow without `allow` takes every request: list its requests
            error[route-overlap] 15:87 `"GET /v2/x"` `GET /v2/x` would go to `api` by this route and to `web` by `* /{**}` of flow `b`, on line 14; a flow without `allow` takes every request: list its requests
            error[bad-value] 16:49 `/` `/` is not a path prefix; write the prefix that is taken off, as in `/api`
        "#]],
    );
    check(
        "nodes:\n  a: { kind: party, zone: outside }\n  b: { kind: party, zone: outside, auth: password }\n  c: { kind: party, zone: outside, auth: jwt }\n  gw: { kind: service, zone: inside, role: gateway, listen: [{ port: 1 }, { port: 2 }] }\nflows:\n  - { id: f, from: a, to: gw, via: { port: 1 } }\n  - { id: g, from: b, to: gw, via: { port: 2 } }\n  - { id: h, from: c, to: gw }\n  - { id: i, from: b, to: gw }\n",
        expect![[r#"
            warning[unknown-issuer] 12:20 `c` `c` proves itself with a token, and the mesh names no issuer: every request of flow `h` is refused; write `mesh: { issuers: { login: { issuer: https://login.example, jwks_uri: … } } }`, and `via: { jwt: none }` on flows that come before any token
            warning[parties-alike] 13:20 `b` `gw` cannot tell `b` from `a`: what either may do, both may; give one of them `auth: jwt` or `mtls`, other claims in `via.jwt`, or a port of its own
        "#]],
    );
}

#[test]
fn coverage() {
    check_flows(
        "  - { id: a, from: user, to: api }\n  - { id: b, from: saas, to: web }\n  - { id: c, from: web, to: saas }\n  - { id: d, from: saas, to: gw }\n  - { id: e, from: web, to: user }\n  - { id: f, from: user, to: saas }",
        expect![[r#"
            error[needs-gateway] 13:30 `api` party `user` proves nothing and `api` is no gateway; send it through a node with `role: gateway`, or give the party `auth: mtls`
            warning[no-identity] 14:20 `saas` `saas` is not under Ward, so it has no identity and `web` refuses it; give it `run` or `attest`, or make it a party behind a gateway
            warning[not-enforced] 15:29 `saas` `saas` is not under Ward, so flow `c` is described and not enforced; give it `run` or `attest` if it can be
            warning[no-identity] 16:20 `saas` `saas` is not under Ward, so it has no identity and `gw` refuses it; give it `run` or `attest`, or make it a party
        "#]],
    );
    check(
        "nodes:\n  bot: { kind: party, zone: outside, auth: mtls }\n  api: { kind: service, zone: inside, attest: token }\nflows:\n  - { id: f, from: bot, to: api }\n",
        expect![[r#"
            warning[not-enforced] 5:44 `mtls` `mtls` is declared and not enforced yet; today parties are not issued SVIDs, so its flows are refused
        "#]],
    );
    check_flows(
        "  - { id: a, from: web, to: api, via: { tls: none } }\n  - { id: b, from: web, to: api, via: { mtls: false } }\n  - { id: c, from: web, to: api, via: { tls: 1.2 } }\n  - { id: d, from: web, to: api, via: { tls: 1.3, mtls: true } }\n  - { id: e, from: web, to: saas, via: { tls: none } }\n  - { id: g, from: web, to: api, via: { tls: none } }\nwaivers: [{ id: W-1, accepts: 'weaker-*@g', why: w, owner: o, until: 2030-01-01 }]",
        expect![[r#"
            error[weaker-flow] 13:46 `none` `web` and `api` are under Ward: their traffic is mutual TLS 1.3; leave the word out
            error[weaker-flow] 14:47 `false` `web` and `api` are under Ward: their traffic is mutual TLS 1.3; leave the word out
            error[weaker-flow] 15:46 `1.2` `web` and `api` are under Ward: their traffic is mutual TLS 1.3; leave the word out
            warning[not-enforced] 17:29 `saas` `saas` is not under Ward, so flow `e` is described and not enforced; give it `run` or `attest` if it can be
            warning[weaker-flow] 18:46 `none` `web` and `api` are under Ward: their traffic is mutual TLS 1.3; the waiver changes nothing here: leave both out
        "#]],
    );
}

#[test]
fn sensitive_data() {
    check_flows(
        "  - { id: a, from: web, to: api, carries: [card] }\n  - { id: b, from: web, to: api, returns: [card], via: { allow: [] , port: 8080 } }\n  - { id: c, from: web, to: api, carries: [pub] }\n  - { id: d, from: web, to: db, carries: [card] }\n  - { id: e, from: user, to: gw, carries: [card] }",
        expect![[r#"
            warning[any-request] 13:11 `a` `card` is restricted and flow `a` allows any request; list what is needed, as in `via: { allow: ["POST /charges"] }`
        "#]],
    );
    check(
        "data: { card: { class: restricted } }\nnodes:\n  u: { kind: party, zone: outside }\n  gw: { kind: service, zone: inside, role: gateway, listen: [{ port: 80, tls: none }, { port: 443 }] }\nflows:\n  - { id: f, from: u, to: gw, carries: [card] }\n  - { id: g, from: u, to: gw, carries: [card], via: { port: 443 } }\n",
        expect![[r#"
            warning[plaintext-data] 9:27 `gw` `card` is restricted and port 80 of `gw` has no TLS; write `tls: auto` there, or pick a port with `via.port`
        "#]],
    );
}

#[test]
fn words_not_enforced() {
    check_flows(
        "  - { id: a, from: web, to: api, via: { limit: 50/s, jwt: none, cors: true, transform: k5, region: eu, auth: token, ssh: true, local: true, audit: strict } }\n  - { id: b, from: web, to: api, via: { cors: { origins: ['*'] }, local: false, audit: critical } }\n  - { id: c, from: saas, to: saas, via: { limit: 1/s, auth: iam, tls: none } }",
        expect![[r#"
            warning[not-enforced] 13:41 `limit` `limit` is declared and not enforced yet; today requests are not counted against it
            warning[not-enforced] 13:65 `cors` `cors` is declared and not enforced yet; today preflight requests need an `allow` entry of their own
            warning[not-enforced] 13:77 `transform` `transform` is declared and not enforced yet; today data passes unchanged
            warning[not-enforced] 13:92 `region` `region` is declared and not enforced yet; today traffic is not kept in the region
            warning[not-enforced] 13:104 `auth` `auth` is described, Ward does not enforce it; today the application itself must ask for it
            warning[not-enforced] 13:117 `ssh` `ssh` is described, Ward does not enforce it; today traffic between nodes under Ward is mutual TLS 1.3 whatever it says
            warning[not-enforced] 13:128 `local` `local` is described, Ward does not enforce it; today traffic between nodes under Ward is mutual TLS 1.3 whatever it says
            warning[not-enforced] 14:41 `cors` `cors` is declared and not enforced yet; today preflight requests need an `allow` entry of their own
        "#]],
    );
}

#[test]
fn emergencies() {
    check_flows(
        "  - { id: a, from: web, to: api, standby: true }\n  - { id: b, from: web, to: api }\nemergencies:\n  e: { flows: [b, x], approvers: { any: 3, of: [user, web] }, max: long, audit: low }\n  f: {}\n  g: { flows: [a], approvers: { any: 0 } }",
        expect![[r#"
            warning[not-enforced] 16:3 `e` `emergencies` is declared and not enforced yet; today none can be opened, so standby flows stay closed
            error[not-standby] 16:16 `b` flow `b` is always open; write `standby: true` on the flow
            error[unknown-flow] 16:19 `x` no flow is named `x`; declared are `a` and `b`
            error[bad-value] 16:41 `3` 3 must approve and 2 may; name more parties under `of`
            warning[no-keys] 16:49 `user` this approver has no keys to sign with; give the party `keys`
            error[not-a-party] 16:55 `web` only a party can approve; name nodes of `kind: party`
            error[bad-value] 16:68 `long` `long` is not a duration; write numbers with a unit of ms, s, m, h, d, w or y, as in `30m` or `1h30m`
            error[missing-field] 17:3 `f` an emergency needs `flows`; write `flows: [support-access]`
            error[missing-field] 17:3 `f` an emergency needs `approvers`; write `approvers: { any: 2, of: [alice, bob] }`
            warning[not-enforced] 17:3 `f` `emergencies` is declared and not enforced yet; today none can be opened, so standby flows stay closed
            warning[not-enforced] 18:3 `g` `emergencies` is declared and not enforced yet; today none can be opened, so standby flows stay closed
            error[missing-field] 18:20 `approvers` approvers needs `of`; write `of: [alice, bob]`
            error[bad-value] 18:38 `0` `0` is not a number of approvers; write a whole number from 1 to 100
        "#]],
    );
    check_flows(
        "  - { id: a, from: web, to: api, standby: true }",
        expect![[r#"
        warning[idle-standby] 13:43 `true` no emergency opens standby flow `a`, so it never passes; list it under an emergency's `flows`, or leave `standby` out
    "#]],
    );
}

#[test]
fn waivers_invariants_tests() {
    check_flows(
        "  - { id: a, from: web, to: api }\nwaivers:\n  - { id: W, accepts: everything, until: soon }\n  - { id: V, accepts: 'x@wbe', why: w, owner: o, until: 2027-13-01 }\n  - { id: U, accepts: 'x@web>api', why: w, owner: o, until: 2027-01-31 }\n  - { id: T, accepts: '*@*', why: w, owner: o, until: 2027-01-31 }",
        expect![[r#"
            error[missing-field] 15:5 `{ id: W, accepts: everything, until: soon }` a waiver needs `why`; write `why: the driver logs`
            error[missing-field] 15:5 `{ id: W, accepts: everything, until: soon }` a waiver needs `owner`; write `owner: data-team`
            error[bad-value] 15:23 `everything` `everything` is not `rule@subject`; write the rule and what it speaks of, as in `unlogged-flow@save`; `*` matches any
            error[bad-value] 15:42 `soon` `soon` is not a date; write year, month and day, as in `2027-01-31`
            warning[unknown-subject] 16:26 `wbe` nothing in the model is named `wbe`; did you mean `web`?
            error[bad-value] 16:57 `2027-13-01` `2027-13-01` is not a date; write year, month and day, as in `2027-01-31`
        "#]],
    );
    check_flows(
        "  - { id: a, from: web, to: api }\ninvariants: [{ never: { data: crad, reaches: outsid } }, { always: {} }, { never: { data: card, reaches: outside } }]",
        expect![[r#"
            warning[not-enforced] 14:1 `invariants` `invariants` is declared and not enforced yet; today they are not proved
            error[unknown-data] 14:31 `crad` no datum is named `crad`; did you mean `card`?
            error[unknown-node] 14:46 `outsid` no zone or node is named `outsid`; did you mean `outside`?
            error[missing-field] 14:58 `{ always: {} }` an invariant needs `never`; write `never: { data: card, reaches: internet }`
            error[unknown-field] 14:60 `always` an invariant has no field `always`; its fields are `never`
        "#]],
    );
    check_flows(
        "  - { id: a, from: web, to: api }\ntests:\n  - { from: web, to: ap, request: GET /, expect: alow }\n  - { from: web, to: api, expect: allow }\n  - { from: web, to: db, request: GET /, expect: allow }\n  - { from: web, to: api, port: 1, request: GET /, expect: deny }\n  - { from: web, to: api, request: GTE /, expect: deny }\n  - { from: web, to: api, request: 'GET /{*}', expect: deny }\n  - { from: web, to: api, request: GET, headers: { X-Team: a }, expect: deny }\n  - {}",
        expect![[r#"
            error[unknown-node] 15:22 `ap` no node is named `ap`; did you mean `api`?
            error[unknown-word] 15:50 `alow` `alow` is not an expectation; did you mean `allow`?
            error[missing-field] 16:5 `{ from: web, to: api, expect: allow }` a test of HTTP port 8080 needs `request`; write `request: "POST /charges"`
            error[misplaced-word] 17:26 `request` port 5432 is postgres: it has no requests; leave `request` out
            error[port-not-served] 18:33 `1` `api` does not serve port 1; it serves 8080 (http), 9090 (grpc)
            error[bad-value] 19:36 `GTE /` `GTE /` is not a request; did you mean `GET`?
            error[bad-value] 20:36 `'GET /{*}'` `GET /{*}` is not a request; write a real path, without wildcards
            error[bad-value] 21:36 `GET` `GET` is not a request; write a method, a blank and a path, as in "POST /charges"
            error[missing-field] 22:5 `{}` a test needs `from`; write `from: orders`
            error[missing-field] 22:5 `{}` a test needs `to`; write `to: orders`
            error[missing-field] 22:5 `{}` a test needs `expect`; write `expect: deny`
        "#]],
    );
}

#[test]
fn policies() {
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: { action: DENY, rules: [{ to: [{ operation: { paths: [/admin] } }] }] }\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: q, namespace: inside }\nspec: { action: AUDIT, selector: { matchLabels: { app: web } } }\n",
        expect![[r#""#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: {}\n",
        expect![[r#"
            error[undeclared-allow] policy.yaml2:7 `AuthorizationPolicy` this ALLOW selects `api`, `db`, `gw` and `web`, and only flows may allow; declare a flow with `via: { allow: … }`; an ALLOW is refused until it is provably inside the flows
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: { action: ALLOW, selector: { matchLabels: { app: web } }, rules: [{}] }\n",
        expect![[r#"
            error[undeclared-allow] policy.yaml4:17 `ALLOW` this ALLOW selects `web`, and only flows may allow; declare a flow with `via: { allow: … }`; an ALLOW is refused until it is provably inside the flows
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: { action: CUSTOM, provider: { name: x }, rules: [{}] }\n",
        expect![[r#"
            warning[not-enforced] policy.yaml4:17 `CUSTOM` no external provider can be asked yet, so this CUSTOM policy denies what it matches; write `action: DENY` if that is meant
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: { action: DENNY, rules: [{}] }\n",
        expect![[r#"
            error[unknown-word] policy.yaml4:17 `DENNY` `DENNY` is not an action; did you mean `DENY`?
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: { action: DENY, targetRefs: [{ kind: Service, name: web }], provider: { name: x } }\n",
        expect![[r#"
            error[misplaced-word] policy.yaml4:67 `provider` only a CUSTOM policy has a provider; leave it out
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: { action: DENY, rulez: [], rules: [{ form: [] , from: [{ source: { principal: [x] } }], to: [{ operation: { path: [x], methods: GET } }], when: [{ key: a }, {}] }] }\n",
        expect![[r#"
            error[unknown-field] policy.yaml4:23 `rulez` an AuthorizationPolicy has no field `rulez`; did you mean `rules`?
            error[unknown-field] policy.yaml4:44 `form` a rule has no field `form`; did you mean `from`?
            error[unknown-field] policy.yaml4:74 `principal` a source has no field `principal`; did you mean `principals`?
            error[unknown-field] policy.yaml4:115 `path` an operation has no field `path`; did you mean `paths`?
            error[wrong-type] policy.yaml4:135 `GET` expected a list of texts, found a single value; write `[GET]`
            error[missing-field] policy.yaml4:152 `{ key: a }` a condition needs values; write `values: [...]` or `notValues: [...]`
            error[missing-field] policy.yaml4:164 `{}` a condition needs `key`; write `key: request.headers[x-team]`
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: { action: DENY, selector: { matchLabels: { app: wbe } } }\n",
        expect![[r#"
            error[selects-nothing] policy.yaml4:23 `selector` no node under Ward in namespace `inside` is selected; did you mean `app: web`?
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: insde }\nspec: { action: DENY, selector: { matchLabels: { app: web } } }\n",
        expect![[r#"
            error[selects-nothing] policy.yaml4:23 `selector` no node under Ward in namespace `insde` is selected; `web` is in namespace `inside`: write `metadata: { namespace: inside }`
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: elsewhere }\nspec: { action: AUDIT }\n",
        expect![[r#"
            warning[selects-nothing] policy.yaml3:1 `metadata` no node under Ward in namespace `elsewhere` is selected; workloads have the label `app: <node>`, in namespaces `inside`
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: elsewhere }\nspec: { selector: { matchLabels: { app: zzzzz } } }\n",
        expect![[r#"
            warning[selects-nothing] policy.yaml4:9 `selector` no node under Ward in namespace `elsewhere` is selected; workloads have the label `app: <node>`, in namespaces `inside`
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: ward-system }\nspec: { action: DENY }\n",
        expect![[r#""#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: { action: DENY }\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\nspec: { action: DENY }\n",
        expect![[r#"
            error[duplicate-name] policy.yaml8:19 `p` a policy `p` of this namespace is already there; give it another name
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside, annotations: { ward.internal/flow: f, x: y }, uid: abc }\nspec: { action: DENY }\nstatus: {}\n",
        expect![[r#"
            error[reserved-name] policy.yaml3:56 `ward.internal/flow` `ward.internal/flow` is written by Ward on the policies of flows; leave it out
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v2\nkind: AuthorizationPolicy\nmetadata: { name: p }\n",
        expect![[r#"
        error[unknown-word] policy.yaml1:13 `security.istio.io/v2` `security.istio.io/v2` is not a version of AuthorizationPolicy; did you mean `security.istio.io/v1`?
    "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n",
        expect![[r#"
        error[missing-field] policy.yaml1:1 `apiVersion: security.istio.io/v1` an AuthorizationPolicy needs `metadata`; write `metadata: { name: deny-legacy, namespace: shop }`
    "#]],
    );
}

#[test]
fn a_fault_of_a_policy_is_placed_again() {
    let text = "# first\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: inside }\n\
        spec:\n  action: DENY\n  rules:\n    - from: [{ source: { ipBlocks: [10.0.0.0/8, x] } }]\n";
    let files = [file("policy.yaml", text), file("ward.yaml", &format!("{BASE}{NODES}"))];
    let place = |policy: &str, field: &str| {
        let d = super::policy_diagnostic(&files, Severity::Error, (policy, field), "m".to_owned(), None);
        assert_eq!(d.code, "bad-policy");
        format!("{} {}:{} {}", d.file, d.line, d.column, d.path)
    };
    let field = "spec.rules[0].from[0].source.ipBlocks[1]";
    assert_eq!(place("inside/p", field), format!("policy.yaml 9:49 inside/p: {field}"));
    assert_eq!(place("inside/p", "spec.selector"), "policy.yaml 7:3 inside/p: spec.selector");
    assert_eq!(place("inside/q", "spec"), "ward.yaml 1:1 inside/q: spec");
}

#[test]
fn other_resources() {
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n---\napiVersion: v1\nkind: Service\n",
        expect![[r#"
            error[missing-field] policy.yaml1:1 `apiVersion: security.istio.io/v1` a RequestAuthentication needs `metadata`; write `metadata: { name: deny-legacy, namespace: shop }`
            warning[not-enforced] policy.yaml5:7 `VirtualService` VirtualService is not read yet; today routes are the `allow` entries of a gateway's flows
            warning[not-enforced] policy.yaml8:7 `Service` Service is not read yet; today nodes are declared in ward.yaml
        "#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: VirtualService\n---\napiVersion: networking.istio.io/v1\nkind: VirtualServices\n---\napiVersion: x/v1\nkind: Zebra\n",
        expect![[r#"
            error[unknown-kind] policy.yaml1:13 `security.istio.io/v1` no VirtualService belongs to this API; write `networking.istio.io/v1`
            error[unknown-kind] policy.yaml5:7 `VirtualServices` Ward does not know the kind `VirtualServices`; did you mean `VirtualService`?
            error[unknown-kind] policy.yaml8:7 `Zebra` Ward does not know the kind `Zebra`; keep what is not Ward's outside the model's directory
        "#]],
    );
    check_resource(
        "services: {}\n",
        expect![[r#"
        error[no-kind] policy.yaml1:1 `services: {}` this document is neither the model nor a resource; a resource has `apiVersion` and `kind`; keep other YAML outside the model's directory
    "#]],
    );
    check_resource(
        "nodes: {}\n",
        expect![[r#"
        error[second-model] policy.yaml1:1 `nodes: {}` the nouns of a model stand in ward.yaml only; move them into the ward.yaml of the directory
    "#]],
    );
    check_resource(
        "kind: Service\n",
        expect![[r#"
        error[missing-field] policy.yaml1:1 `kind` a resource needs `apiVersion`; write `apiVersion: security.istio.io/v1`, or what the kind asks for
    "#]],
    );
    check_resource(
        "apiVersion: v1\n",
        expect![[r#"
        error[missing-field] policy.yaml1:1 `apiVersion` a resource needs `kind`; write `kind: AuthorizationPolicy`, or what it is
    "#]],
    );
    check_resource("# nothing\n", expect![[r#""#]]);
    check_resource(
        "- a\n",
        expect![[r#"
        error[no-kind] policy.yaml1:1 `- a` this document is neither the model nor a resource; a resource has `apiVersion` and `kind`; keep other YAML outside the model's directory
    "#]],
    );
    check_resource(
        "kind: []\napiVersion: {}\n",
        expect![[r#"
        error[wrong-type] policy.yaml2:13 `{}` expected an API version, found a mapping; -
    "#]],
    );
}

#[test]
fn all_errors_at_once_in_order() {
    let text = format!(
        "{BASE}{NODES}flows:\n  - {{ id: F, from: wbe, to: api, via: {{ audit: hihg, allow: [GET] }} }}\nzonse: 1\n"
    );
    check_files(
        &[("b.yaml", "kind: x"), ("ward.yaml", &text), ("a.yaml", "[")],
        expect![[r#"
        error[yaml] a.yaml1:1 `` this is not YAML: unclosed bracket '['; -
        error[missing-field] b.yaml1:1 `kind` a resource needs `apiVersion`; write `apiVersion: security.istio.io/v1`, or what the kind asks for
        error[bad-name] 13:11 `F` `F` cannot name a flow; use 1 to 63 lower-case letters, digits and inner hyphens, as in `f`
        error[unknown-node] 13:20 `wbe` no node is named `wbe`; did you mean `web`?
        error[unknown-word] 13:48 `hihg` `hihg` is not a level of audit; did you mean `high`?
        error[bad-allow] 13:62 `GET` `GET` is not `METHOD PATH`; write one or more methods, a blank and a path, as in `GET,POST /orders/{*}`, `* /{**}` or `grpc pkg.Service/Method`
        error[unknown-field] 14:1 `zonse` the model has no field `zonse`; did you mean `zones`?
    "#]],
    );
}

#[test]
fn places_count_characters_and_cut_at_the_line() {
    check_whole(
        "ward: 1\r\nmodel: m # ä\r\nzones: { \"ä\": {} }\r\nnodes:\r\n  n:\r\n    - a\r\n    - b\r\n",
        expect![[r#"
            error[bad-name] 3:10 `"ä"` `ä` cannot name a zone; use 1 to 63 lower-case letters, digits and inner hyphens
            error[wrong-type] 6:5 `- a` expected the fields of a node, found a list; its fields are `kind`, `zone`, `namespace`, `role`, `listen`, `serves`, `run`, `attest`, `endpoints`, `exposed_to`, `port`, `guards`, `auth`, `keys`, `at_rest`, `holds`, `reads`, `privilege`, `hostile`, `logs`, `rotates`, `stakeholder` and `mode`
        "#]],
    );
    check_whole(
        "\u{feff}ward: 1\nmodel: M\n",
        expect![[r#"
        error[bad-name] 2:8 `M` `M` cannot name a model; use 1 to 63 lower-case letters, digits and inner hyphens, as in `m`
    "#]],
    );
}

#[test]
fn defaults() {
    let text = format!("{BASE}nodes:\n  a: {{ kind: service, zone: inside }}\n  p: {{ kind: party, zone: outside }}\n");
    let model = ward(&text).model.unwrap();
    assert_eq!(model.trust_domain.as_str(), "m.ward.internal");
    assert_eq!(model.mesh.svid_ttl.as_secs(), 86_400);
    assert_eq!(model.mesh.root_namespace.as_str(), "ward-system");
    assert_eq!(model.nodes["a"].namespace.as_str(), "inside");
    assert_eq!((model.nodes["a"].serves[0].port, model.nodes["a"].serves.len()), (8080, 1));
    assert!(model.nodes["p"].serves.is_empty());
    assert!(!model.nodes["a"].under_ward());
}

#[test]
fn zones_inherit_trust_and_region() {
    let text = "ward: 1\nmodel: m\nzones: { a: { trust: none, region: eu }, b: { in: a }, c: { in: b, trust: high }, d: {} }\n";
    let zones = ward(text).model.unwrap().zones;
    let of = |n: &str| (format!("{:?}", zones[n].trust), zones[n].region.clone());
    assert_eq!(of("b"), ("None".to_owned(), Some("eu".to_owned())));
    assert_eq!(of("c"), ("High".to_owned(), Some("eu".to_owned())));
    assert_eq!(of("d"), ("Low".to_owned(), None));
}

#[test]
fn allow_absent_and_empty_differ() {
    let flows = "flows:\n  - { id: a, from: web, to: api }\n  - { id: b, from: web, to: api, via: { port: 8080, allow: [] } }\n";
    let model = ward(&format!("{BASE}{NODES}{flows}")).model.unwrap();
    assert_eq!(model.flows[0].via.allow, None);
    assert_eq!(model.flows[1].via.allow, Some(Vec::new()));
}

#[test]
fn aliases_stand_for_their_anchor() {
    let nodes = "nodes:\n  a: &n { kind: service, zone: inside }\n  b: *n\n";
    let model = ward(&format!("{BASE}{nodes}")).model.unwrap();
    assert_eq!(model.nodes["a"], model.nodes["b"]);
}

#[test]
fn durations() {
    for (text, millis) in
        [("1h", 3_600_000), ("1h30m", 5_400_000), ("500ms", 500), ("7d", 604_800_000), ("100y", 3_153_600_000_000)]
    {
        assert_eq!(parse_duration(text).map(|d| d.as_millis()), Some(millis), "{text}");
    }
    for text in ["", "0s", "1", "h", "1 h", "-1s", "1.5h", "1H", "101y", "99999999999999999999s", "1sm"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

#[test]
fn yaml_bombs_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let uses = vec![format!("*a{}", i - 1); 10].join(", ");
        text += &format!("a{i}: &a{i} [{uses}]\n");
    }
    let faults = yaml::parse(&text).faults;
    assert_eq!(faults.first().map(|f| f.code), Some("too-large"));
    let mut deep = "a0: &a0 []\n".to_owned();
    for i in 1..100 {
        deep += &format!("a{i}: &a{i} [*a{}]\n", i - 1);
    }
    let faults = yaml::parse(&deep).faults;
    assert_eq!(faults.first().map(|f| f.code), Some("too-large"));
}

#[test]
fn limits() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(yaml::parse(&nested(yaml::YAML_DEPTH_MAX)).faults.is_empty());
    assert!(!yaml::parse(&nested(yaml::YAML_DEPTH_MAX + 1)).faults.is_empty());
    let padded = |n: usize| format!("{BASE}#{}", "x".repeat(n - BASE.len() - 1));
    assert_eq!(ward(&padded(FILE_BYTES_MAX)).errors(), 0);
    assert_eq!(ward(&padded(FILE_BYTES_MAX + 1)).diagnostics[0].code, "too-large");
    let wrong: String = (0..DIAGNOSTICS_MAX + 7).map(|i| format!("x{i}: 1\n")).collect();
    let loaded = ward(&format!("{BASE}{wrong}"));
    assert_eq!(loaded.diagnostics.len(), DIAGNOSTICS_MAX + 1);
    assert_eq!(loaded.diagnostics[DIAGNOSTICS_MAX].code, "too-many");
    assert_eq!(loaded.diagnostics[DIAGNOSTICS_MAX].message, "7 further problems are not listed");
    assert!(loaded.model.is_none());
    let values = |n: usize| format!("[{}]", "x,".repeat(n - 1));
    assert!(yaml::parse(&values(yaml::YAML_NODES_MAX)).faults.is_empty());
    assert!(!yaml::parse(&values(yaml::YAML_NODES_MAX + 1)).faults.is_empty());
    let zones = |n: usize| {
        let inner: String = (1..=n).map(|i| format!("z{i}: {{ in: z{} }}, ", i - 1)).collect();
        ward(&format!("ward: 1\nmodel: m\nzones: {{ z0: {{}}, {inner} }}\n")).errors()
    };
    assert_eq!(zones(super::CHAIN_MAX - 1), 0);
    assert_ne!(zones(super::CHAIN_MAX), 0);
}

/// Every code that can be reported is shown by a test here, and means what `CODES` says.
#[test]
fn every_code_has_a_case() {
    let here = include_str!("tests.rs");
    let missing: Vec<_> = CODES
        .iter()
        .filter(|(c, _)| !here.contains(&format!("[{c}]")) && !here.contains(&format!("\"{c}\"")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let unique: BTreeSet<_> = CODES.iter().map(|(c, _)| c).collect();
    assert_eq!(unique.len(), CODES.len());
}

#[test]
fn every_word_of_via_has_an_owner() {
    for word in super::flows::VIA_FIELDS {
        assert!(words::find(words::Place::Via, word).is_some(), "{word}");
    }
}

fn sound(loaded: &Loaded, files: &[SourceFile]) {
    assert_eq!(loaded.model.is_some(), loaded.errors() == 0);
    for Diagnostic { file, start, end, line, column, .. } in &loaded.diagnostics {
        let Some(source) = files.iter().find(|f| f.name == *file) else { continue };
        let part = source.text.get(*start..*end).unwrap();
        assert!(!part.contains('\n') && *line >= 1 && *column >= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the text, loading ends, and every place is inside the file.
    #[test]
    fn any_text_is_judged(text in "\\PC{0,200}", more in "[ -~\n]{0,200}") {
        for text in [text, more] {
            let files = [file("ward.yaml", &text), file("x.yaml", &text)];
            sound(&load(&files), &files);
        }
    }

    /// The design's example with a piece cut out, doubled or replaced.
    #[test]
    fn a_broken_shop_is_judged(from in 0..SHOP.len(), length in 0usize..60, insert in "[ -~\n]{0,12}", times in 0usize..3) {
        let from = (0..=from).rev().find(|i| SHOP.is_char_boundary(*i)).unwrap();
        let to = (from + length..=SHOP.len() + length).find(|i| SHOP.is_char_boundary((*i).min(SHOP.len()))).unwrap().min(SHOP.len());
        let piece = SHOP[from..to].repeat(times);
        let text = format!("{}{piece}{insert}{}", &SHOP[..from], &SHOP[to..]);
        let files = [file("ward.yaml", &text)];
        sound(&load(&files), &files);
    }
}

#[test]
fn peer_authentication_beside_a_model() {
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: strict, namespace: inside }\nspec: { mtls: { mode: STRICT } }\n",
        expect![[r#""#]],
    );
    check_resource(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: weak, namespace: inside }\nspec:\n  selector: { matchLabels: { app: web } }\n  mtls: { mode: PERMISSIVE }\n  portLevelMtls: { 8080: { mode: DISABLE }, 0: {}, http: { mode: STRICT } }\n",
        expect![[r#"
            error[weaker-flow] policy.yaml6:17 `PERMISSIVE` between nodes under Ward there is mutual TLS, and nothing weaker; write `mode: STRICT`, or remove the document; callers without identity go through a gateway
            error[weaker-flow] policy.yaml7:34 `DISABLE` between nodes under Ward there is mutual TLS, and nothing weaker; write `mode: STRICT`, or remove the document; callers without identity go through a gateway
            error[bad-value] policy.yaml7:45 `0` `0` is not a port; write a whole number from 1 to 65535
            error[bad-value] policy.yaml7:52 `http` `http` is not a port; write a whole number from 1 to 65535
        "#]],
    );
}

/// What is said about documents that stand alone.
fn check_alone(text: &str, expect: Expect) {
    let file = SourceFile { name: "all.yaml".to_owned(), text: text.to_owned() };
    let found = crate::load_documents(&[file]);
    let mut out = String::new();
    for d in &found.diagnostics {
        out += &format!(
            "{}[{}] {}:{} {}\n",
            if d.severity == Severity::Error { "error" } else { "warning" },
            d.code,
            d.line,
            d.column,
            d.message
        );
    }
    expect.assert_eq(&out);
}

#[test]
fn documents_alone() {
    check_alone(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p }\nspec: { action: CUSTOM, provider: { name: opa }, targetRefs: [{ kind: Service, name: web }], rules: [{}] }\n---\napiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: { name: p }\nspec: { selector: { matchLabels: { app: web } }, mtls: { mode: DISABLE }, portLevelMtls: { 80: { mode: STRICT } } }\n---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: { name: p }\nspec:\n  jwtRules:\n  - issuer: i\n    audiences: [a]\n    jwks: '{\"keys\": []}'\n    fromHeaders: [{ name: x-token, prefix: 'T ' }]\n    fromParams: [t]\n    fromCookies: [c]\n    outputPayloadToHeader: x-payload\n    outputClaimToHeaders: [{ header: x-team, claim: team }]\n    forwardOriginalToken: true\n    timeout: 5s\n    spaceDelimitedClaims: [roles]\n  - { jwksUri: 'https://login.example/keys' }\n",
        expect![[r#""#]],
    );
    check_alone(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p }\nspec: { rules: [{ from: [] }, { to: [], when: [] }, { from: [{ source: { principals: [], namespaces: } }] }] }\n---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: p }\nspec: { mtls: { mode: strict }, portLevelMtls: { 80: {} } }\n---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: { name: p }\nspec: { jwtRules: [{ audiences: [a] }, { issuer: i, jwks: nonsense }, { jwksUri: 'file:///keys' }, { issuer: i, fromHeader: x }] }\n---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: p }\n",
        expect![[r#"
            error[bad-value] 4:19 `from` holds nothing
            error[bad-value] 4:33 `to` holds nothing
            error[bad-value] 4:41 `when` holds nothing
            error[bad-value] 4:74 `principals` holds nothing
            error[bad-value] 4:90 `namespaces` holds nothing
            error[unknown-word] 9:23 `strict` is not a mode
            error[missing-field] 9:33 `portLevelMtls` needs a selector: ports are those of a workload
            error[missing-field] 14:20 a rule for tokens needs `issuer` or `jwksUri`
            error[bad-value] 14:59 `jwks` is not a JSON Web Key Set
            error[bad-value] 14:82 `file:///keys` is not an address of keys
            error[unknown-field] 14:113 a rule for tokens has no field `fromHeader`
            error[duplicate-name] 18:19 a PeerAuthentication `p` of this namespace is already there
        "#]],
    );
}

/// What `kubectl get -o yaml` writes, and what stands beside it in a directory of Kubernetes' resources.
#[test]
fn documents_as_kubernetes_keeps_them() {
    check_alone(
        "apiVersion: v1\nkind: List\nmetadata: { resourceVersion: '' }\nitems:\n- apiVersion: security.istio.io/v1beta1\n  kind: AuthorizationPolicy\n  metadata:\n    name: p\n    uid: 0f\n    generation: 1\n    resourceVersion: '7'\n    creationTimestamp: '2026-01-01T00:00:00Z'\n    managedFields: [{ manager: kubectl, fieldsV1: { 'f:spec': {} } }]\n  spec: { action: DENY, rules: [{}] }\n  status: { conditions: [] }\n- { apiVersion: v1, kind: Service, metadata: { name: s } }\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicyList\nitems:\n- { apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: { name: p } }\n---\n{ apiVersion: v1, kind: Service, metadata: { name: t } }\n---\n{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy }\n---\n{ apiVersion: v1, kind: Secret }\n---\n{ apiVersion: v1, kind: List, items: [] }\n",
        expect![[r#"
            warning[not-enforced] 16:27 Service is left out
            error[duplicate-name] 21:84 a policy `p` of this namespace is already there
            warning[not-enforced] 25:43 NetworkPolicy is left out
            warning[not-enforced] 27:25 Secret is left out
        "#]],
    );
    // What could be a slip of the pen is no other kind.
    check_alone(
        "{ apiVersion: security.istio.io/v1, kind: AuthorisationPolicy }\n---\n{ apiVersion: security.istio.io/v1, kind: Waypoint }\n---\n{ apiVersion: securty.istio.io/v1, kind: AuthorizationPolicy }\n---\n{ apiVersion: securty.istio.io/v1, kind: AuthorizationPolcy }\n---\n{ apiVersion: v1, kind: List, items: { a: b } }\n",
        expect![[r#"
            error[unknown-kind] 1:43 Ward does not know the kind `AuthorisationPolicy`
            error[unknown-kind] 3:43 Ward does not know the kind `Waypoint`
            error[unknown-kind] 5:15 no AuthorizationPolicy belongs to this API
            error[unknown-kind] 7:42 Ward does not know the kind `AuthorizationPolcy`
            error[unknown-kind] 9:25 Ward does not know the kind `List`
        "#]],
    );
}

/// A dash with nothing behind it is no rule that allows everything.
#[test]
fn a_rule_is_written_out() {
    check_alone(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p }\nspec:\n  rules:\n  -\n  - {}\n",
        expect![[r#"
            error[bad-value] 6:4 the rule holds nothing
        "#]],
    );
}

#[test]
fn limits_of_documents() {
    let policy = |i: usize| {
        format!(
            r#"{{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{{"name":"p{i}"}},"spec":{{"rules":[{{"to":[{{"operation":{{"paths":["/p{i}"]}}}}]}}]}}}}"#
        )
    };
    let found = |count: usize| {
        let text: String = (0..count).map(|i| format!("---\n{}\n", policy(i))).collect();
        crate::load_documents(&[SourceFile { name: "all.yaml".to_owned(), text }])
    };
    let most = found(POLICIES_MAX);
    assert_eq!((most.policies.len(), most.diagnostics.len()), (POLICIES_MAX, 0));
    assert_eq!(found(POLICIES_MAX + 1).diagnostics[0].code, "too-large");
    let padded = |bytes: usize| {
        let text = format!("#{}", "x".repeat(bytes - 1));
        crate::load_documents(&[SourceFile { name: "all.yaml".to_owned(), text }]).diagnostics.len()
    };
    assert_eq!((padded(DOCUMENT_BYTES_MAX), padded(DOCUMENT_BYTES_MAX + 1)), (0, 1));
    let files = |count: usize| {
        let file = |i: usize| SourceFile { name: format!("{i}.yaml"), text: String::new() };
        crate::load_documents(&(0..count).map(file).collect::<Vec<_>>()).diagnostics.len()
    };
    assert_eq!((files(DOCUMENT_FILES_MAX), files(DOCUMENT_FILES_MAX + 1)), (0, 1));
}

/// Flows among the nodes of `NODES`, in a mesh with two issuers.
const ISSUERS: &str = "mesh:
  issuers:
    shop: { issuer: https://shop.example, jwks_uri: 'https://localhost:8443/jwks.json', forward: true }
    staff: { issuer: https://staff.example, jwks: { keys: [{ kty: EC, crv: P-256, x: x, y: y }] } }
";

#[test]
fn issuers_of_tokens() {
    check(
        r#"mesh:
  issuers:
    a: { issuer: https://a.example, jwks_uri: https://a.example/keys, audiences: [shop], from_cookies: [session], from_params: [t], from_headers: [x-token, { name: x-other, prefix: "T " }], forward: true }
    b: { issuer: b, jwks: '{"keys": [{"kty": "RSA"}]}' }
    c: { issuer: c, jwks_uri: https://10.0.0.1/keys, private: true }
    d: { issuer: d, jwks_uri: http://127.0.0.1:9000/keys }
"#,
        expect![[""]],
    );
    check(
        r#"mesh:
  issuers:
    A: { issuer: a, jwks_uri: https://a.example }
    none: { issuer: b, jwks_uri: https://a.example }
    c: { issuer: "a*", jwks_uri: https://a.example, jwks: x }
    d: { jwks: '{"keys": []}' }
    e: { issuer: e, jwks: '{"keys": [{"kty": "oct", "k": "AAAA"}]}' }
    f: { issuer: f, jwks: '{"keys": [{"kty": "EC", "d": "AAAA"}]}' }
    g: { issuer: g, jwks: '{"keys": [{"kty": "XX"}]}' }
    h: { issuer: h, jwks: nonsense }
    i: { issuer: i }
    j: { issuer: j, jwks_uri: http://login.example/keys }
    k: { issuer: k, jwks_uri: https://10.0.0.1/keys }
    l: { issuer: l, jwks_uri: https://169.254.169.254/keys, private: true }
    m: { issuer: m, jwks_uri: https://m.example, jwksUri: x, from_headers: [{ prefix: x }], audiences: x }
    n: { issuer: m, jwks_uri: https://m.example }
  aliases: [old.example, old.example, m.ward.internal]
  compat: istio
"#,
        expect![[r#"
            error[bad-name] 6:5 `A` `A` cannot name an issuer; use 1 to 63 lower-case letters, digits and inner hyphens, as in `a`
            error[bad-name] 7:5 `none` `none` is a word of `via.jwt`, so it cannot name an issuer; give it another name
            error[bad-value] 8:18 `"a*"` `a*` is not an issuer; write what stands in `iss` of its tokens, as in `https://login.example`
            error[misplaced-word] 8:53 `jwks` keys have one source: `jwks_uri` or `jwks`; leave one of them out
            error[missing-field] 9:5 `d` an issuer needs `issuer`; write `issuer: https://login.example`
            error[bad-value] 9:16 `'{"keys": []}'` `jwks` holds no key, so that no token would be good; write the issuer's public keys (RFC 7517)
            error[bad-value] 10:27 `'{"keys": [{"kty": "oct", "k": "AAAA"}]}'` `jwks` holds a symmetric key: whoever reads the model could make tokens; write the issuer's public keys (RFC 7517)
            error[bad-value] 11:27 `'{"keys": [{"kty": "EC", "d": "AAAA"}]}'` `jwks` holds a private key: whoever reads the model could make tokens; write the issuer's public keys (RFC 7517)
            error[bad-value] 12:27 `'{"keys": [{"kty": "XX"}]}'` `jwks` holds no key of a kind that is read: `RSA`, `EC` and `OKP`; write the issuer's public keys (RFC 7517)
            error[bad-value] 13:27 `nonsense` `jwks` is not a JSON Web Key Set; write '{"keys": [...]}' (RFC 7517)
            error[missing-field] 14:5 `i` an issuer needs its keys; write `jwks_uri: https://login.example/.well-known/jwks.json`, or `jwks` with the keys
            error[bad-value] 15:31 `http://login.example/keys` `http://login.example/keys` is not an address of keys: what comes over plain http can be exchanged on the way; write https://host/path; http:// is for this machine only, as in http://127.0.0.1:9000/keys
            error[private-address] 16:31 `https://10.0.0.1/keys` `10.0.0.1` is an address of a private network; write `private: true` beside it if that is meant
            error[private-address] 17:31 `https://169.254.169.254/keys` nobody keeps keys at `169.254.169.254`: it is no address of a server; -
            error[unknown-field] 18:50 `jwksUri` an issuer has no field `jwksUri`; did you mean `jwks_uri`?
            error[missing-field] 18:77 `{ prefix: x }` a header needs `name`; write `name: x-token`
            error[wrong-type] 18:104 `x` expected a list of audiences, found a single value; write `[x]`
            error[duplicate-name] 19:18 `m` issuer `m` is the same `m`; keep one of them
            error[duplicate-name] 20:26 `old.example` `old.example` is written twice; leave it out
            error[duplicate-name] 20:39 `m.ward.internal` `m.ward.internal` is the mesh's own trust domain; leave it out
        "#]],
    );
}

#[test]
fn tokens_of_flows() {
    let check = |flows: &str, expect: Expect| check_whole(&format!("{BASE}{ISSUERS}{NODES}flows:\n{flows}\n"), expect);
    check(
        r#"  - { id: a, from: user, to: gw, via: { jwt: shop } }
  - { id: b, from: gw, to: web, via: { jwt: { issuer: shop, claims: { role: [admin, "dev*"], realm: { roles: x } } } } }
  - { id: c, from: web, to: api, via: { port: 8080, jwt: { issuer: staff, claims: { a: b } } } }
  - { id: d, from: web, to: saas, via: { jwt: anything } }"#,
        expect![[r#"
            warning[not-enforced] 20:29 `saas` `saas` is not under Ward, so flow `d` is described and not enforced; give it `run` or `attest` if it can be
        "#]],
    );
    check(
        r#"  - { id: a, from: user, to: gw, via: { jwt: shp } }
  - { id: b, from: web, to: api, via: { jwt: true } }
  - { id: c, from: web, to: api, via: { jwt: { isuer: shop, claims: {} } } }
  - { id: d, from: web, to: api, via: { jwt: { issuer: shop, claims: { a: 1, b: [true, x], "c[d]": e, f: [], g: ~ } } } }
  - { id: e, from: web, to: db, via: { jwt: shop } }
  - { id: f, from: web, to: api, via: { jwt: [shop] } }"#,
        expect![[r#"
            error[unknown-issuer] 17:46 `shp` no issuer is named `shp`; did you mean `shop`?
            error[unknown-issuer] 18:41 `jwt` the mesh has 2 issuers; name one of `shop` and `staff`
            error[unknown-field] 19:48 `isuer` via.jwt has no field `isuer`; did you mean `issuer`?
            error[bad-value] 19:61 `claims` `claims` holds nothing; name a claim and its values, as in `{ role: [admin] }`, or leave it out
            error[wrong-type] 20:75 `1` numbers and truth values in tokens are not compared, only texts; write `"1"` if the claim is a text
            error[wrong-type] 20:82 `true` numbers and truth values in tokens are not compared, only texts; write `"true"` if the claim is a text
            error[bad-name] 20:92 `"c[d]"` `c[d]` cannot name a claim; a name without brackets, at most 8 deep
            error[bad-value] 20:103 `f` claim `f` may have no value at all; name its values, or leave it out
            error[wrong-type] 20:110 `g` expected a list of values, found nothing; -
            error[misplaced-word] 21:40 `jwt` port 5432 of `db` is postgres: its requests cannot be seen; leave `jwt` out
            error[wrong-type] 22:46 `[shop]` expected an issuer of tokens, or `none`, found a list; -
        "#]],
    );
    // A gateway that takes a token away cannot show it to the next.
    check(
        "  - { id: a, from: user, to: gw, via: { jwt: staff } }\n  - { id: b, from: gw, to: web, via: { jwt: staff } }",
        expect![[r#"
            error[token-taken] 18:40 `jwt` `gw` checks tokens of `staff` and takes them away, and flow `b` needs one; write `forward: true` at `mesh.issuers.staff`
        "#]],
    );
}

#[test]
fn parties_with_tokens() {
    let model = |mesh: &str, flows: &str| {
        format!(
            "{BASE}{mesh}nodes:\n  a: {{ kind: party, zone: outside, auth: jwt }}\n  b: {{ kind: party, zone: outside, auth: oidc }}\n  c: {{ kind: party, zone: outside }}\n  gw: {{ kind: service, zone: inside, role: gateway, listen: [{{ port: 1 }}] }}\nflows:\n{flows}"
        )
    };
    let one = "mesh: { issuers: { shop: { issuer: s, jwks_uri: https://shop.example/keys } } }\n";
    // Told apart by the issuer, by a claim, or by having a token at all.
    check_whole(
        &model(
            ISSUERS,
            "  - { id: f, from: a, to: gw, via: { jwt: shop } }\n  - { id: g, from: b, to: gw, via: { jwt: staff } }\n  - { id: h, from: c, to: gw }\n",
        ),
        expect![[""]],
    );
    check_whole(
        &model(
            one,
            "  - { id: f, from: a, to: gw, via: { jwt: { claims: { role: buyer } } } }\n  - { id: g, from: b, to: gw, via: { jwt: { claims: { role: seller } } } }\n",
        ),
        expect![[""]],
    );
    // The same token, or none before the first.
    check_whole(
        &model(
            one,
            "  - { id: f, from: a, to: gw }\n  - { id: g, from: b, to: gw }\n  - { id: h, from: a, to: gw, via: { jwt: none } }\n  - { id: i, from: c, to: gw }\n",
        ),
        expect![[r#"
            warning[parties-alike] 12:20 `b` `gw` cannot tell `b` from `a`: what either may do, both may; give one of them `auth: jwt` or `mtls`, other claims in `via.jwt`, or a port of its own
            warning[parties-alike] 14:20 `c` `gw` cannot tell `c` from `a`: what either may do, both may; give one of them `auth: jwt` or `mtls`, other claims in `via.jwt`, or a port of its own
        "#]],
    );
    check_whole(
        &model("", "  - { id: f, from: a, to: gw }\n"),
        expect![[r#"
        warning[unknown-issuer] 10:20 `a` `a` proves itself with a token, and the mesh names no issuer: every request of flow `f` is refused; write `mesh: { issuers: { login: { issuer: https://login.example, jwks_uri: … } } }`, and `via: { jwt: none }` on flows that come before any token
    "#]],
    );
    check_whole(
        &model(ISSUERS, "  - { id: f, from: a, to: gw }\n"),
        expect![[r#"
            error[unknown-issuer] 14:20 `a` `a` proves itself with a token, and the mesh has 2 issuers; name one, as in `via: { jwt: shop }`
        "#]],
    );
}

#[test]
fn tests_with_tokens() {
    check_whole(
        &format!(
            "{BASE}{NODES}tests:\n  - {{ from: web, to: api, request: GET /, jwt: {{ iss: i, sub: s, roles: [a], n: 1 }}, expect: deny }}\n  - {{ from: web, to: api, request: GET /, jwt: {{ iss: [i] }}, expect: deny }}\n  - {{ from: web, to: api, request: GET /, jwt: x, expect: deny }}\n  - {{ from: web, to: db, jwt: {{ iss: i, sub: s }}, expect: deny }}\n"
        ),
        expect![[r#"
            error[missing-field] 14:43 `jwt` a token has `sub`; write the claims of a valid token, as in `{ iss: https://login.example, sub: ada }`
            error[wrong-type] 14:55 `[i]` expected a text, found a list; -
            error[wrong-type] 15:48 `x` expected a mapping of claims, found a single value; -
            error[misplaced-word] 16:26 `jwt` port 5432 is postgres: it has no tokens; leave `jwt` out
        "#]],
    );
}

#[test]
fn request_authentication_beside_a_model() {
    let document = |name: &str, namespace: &str, spec: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n{spec}\n"
        )
    };
    check_resource(
        &document(
            "login",
            "inside",
            "  selector: { matchLabels: { app: web } }\n  jwtRules: [{ issuer: i, jwksUri: https://login.example/keys }]",
        ),
        expect![[""]],
    );
    check_resource(
        &document(
            "issuer-x",
            "inside",
            "  targetRefs: [{ kind: Service, name: wep }]\n  jwtRules: [{ issuer: i }, { issuer: i, jwksUri: 'http://login.example' }, { issuer: i, jwksUri: 'https://127.0.0.1/x' }, { issuer: i, jwks: '{\"keys\": []}' }]",
        ),
        expect![[r#"
            error[reserved-name] policy.yaml3:19 `issuer-x` Ward's own RequestAuthentications begin with `issuer-`; give it another name
            warning[selects-nothing] policy.yaml5:3 `targetRefs` no node under Ward in namespace `inside` is selected; did you mean `name: web`?
            error[missing-field] policy.yaml6:14 `{ issuer: i }` keys are not looked up by the issuer's name; write `jwksUri`, or `jwks` with the keys
            error[bad-value] policy.yaml6:51 `'http://login.example'` `http://login.example` is not an address of keys: what comes over plain http can be exchanged on the way; write https://host/path; http:// is for this machine only, as in http://127.0.0.1:9000/keys
            error[private-address] policy.yaml6:99 `'https://127.0.0.1/x'` `127.0.0.1` is no public address; declare an issuer with this `jwks_uri` under `mesh: { issuers: … }` if that is meant
            error[bad-value] policy.yaml6:143 `'{"keys": []}'` `jwks` holds no key, so that no token would be good; write the issuer's public keys (RFC 7517)
        "#]],
    );
    check_resource(
        &document("login", "istio-system", "  jwtRules: []"),
        expect![[r#"
        warning[selects-nothing] policy.yaml3:1 `metadata` no node under Ward in namespace `istio-system` is selected; the root namespace is `ward-system`: write that, or `mesh: { root_namespace: istio-system }`
        error[bad-value] policy.yaml5:3 `jwtRules` `jwtRules` holds nothing; name issuers, or leave it out
    "#]],
    );
    // GHSA-fgw5-hp8f-xfhc: a document alone does not make Ward ask inside its own network; the mesh's own words do.
    let inside =
        document("login", "inside", "  jwtRules: [{ issuer: i, jwksUri: 'https://localhost:8443/jwks.json' }]");
    check_resource(
        &inside,
        expect![[r#"
        error[private-address] policy.yaml5:36 `'https://localhost:8443/jwks.json'` `localhost` is no public address; declare an issuer with this `jwks_uri` under `mesh: { issuers: … }` if that is meant
    "#]],
    );
    check_files(&[("policy.yaml", &inside), ("ward.yaml", &format!("{BASE}{ISSUERS}{NODES}"))], expect![[""]]);
}

#[test]
fn attached_policies() {
    let policy = |spec: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{ name: p, namespace: inside }}\nspec: {spec}\n"
        )
    };
    check_resource(
        &policy(
            "{ action: DENY, targetRefs: [{ kind: Service, name: web }, { group: gateway.networking.k8s.io, kind: Gateway, name: gw }], rules: [{}] }",
        ),
        expect![[""]],
    );
    check_resource(
        &policy("{ action: DENY, targetRefs: [{ kind: Service, name: wep }], rules: [{}] }"),
        expect![[r#"
        error[selects-nothing] policy.yaml4:23 `targetRefs` no node under Ward in namespace `inside` is selected; did you mean `name: web`?
    "#]],
    );
    check_resource(
        &policy("{ targetRefs: [{ kind: Service, name: web }] }"),
        expect![[r#"
        error[undeclared-allow] policy.yaml2:7 `AuthorizationPolicy` this ALLOW selects `web`, and only flows may allow; declare a flow with `via: { allow: … }`; an ALLOW is refused until it is provably inside the flows
    "#]],
    );
    check_resource(
        &policy("{ action: CUSTOM, provider: { name: opa }, selector: { matchLabels: { app: web } }, rules: [{}] }"),
        expect![[r#"
            warning[not-enforced] policy.yaml4:17 `CUSTOM` no external provider can be asked yet, so this CUSTOM policy denies what it matches; write `action: DENY` if that is meant
        "#]],
    );
    check_resource(
        &policy("{ action: CUSTOM, provider: { name: opa }, selector: { matchLabels: { app: x } }, rules: [{}] }"),
        expect![[r#"
            warning[not-enforced] policy.yaml4:17 `CUSTOM` no external provider can be asked yet, so this CUSTOM policy denies what it matches; write `action: DENY` if that is meant
            error[selects-nothing] policy.yaml4:50 `selector` no node under Ward in namespace `inside` is selected; workloads have the label `app: <node>`, in namespaces `inside`
        "#]],
    );
}

/// A document beside the model makes no tokens of the mesh's issuers.
#[test]
fn tokens_of_the_mesh_are_its_own() {
    let mesh = "mesh: { issuers: { shop: { issuer: https://shop.example, jwks_uri: https://shop.example/keys, audiences: [a, b] } } }\n";
    let check = |rule: &str, expect: Expect| {
        let document = format!(
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{ name: x, namespace: inside }}\nspec: {{ jwtRules: [{rule}] }}\n"
        );
        check_files(&[("tokens.yaml", &document), ("ward.yaml", &format!("{BASE}{mesh}{NODES}"))], expect);
    };
    check(
        "{ issuer: https://shop.example, jwksUri: https://shop.example/keys, audiences: [a], outputClaimToHeaders: [{ header: x-user, claim: sub }] }, { issuer: other, jwksUri: https://other.example }",
        expect![[""]],
    );
    check(
        "{ issuer: https://shop.example, jwks: '{\"keys\": [{\"kty\": \"EC\"}]}', audiences: [a] }, { issuer: https://shop.example, jwksUri: https://shop.example/other, audiences: [a] }, { jwksUri: https://other.example }, { issuer: https://shop.example, jwksUri: https://shop.example/keys }, { issuer: https://shop.example, jwksUri: https://shop.example/keys, audiences: [c] }",
        expect![[r#"
            error[undeclared-token] tokens.yaml4:30 `https://shop.example` whoever has these keys could make tokens of `shop`, an issuer of the mesh; write the keys of `mesh.issuers.shop`, or leave the rule out: its flows have it already
            error[undeclared-token] tokens.yaml4:115 `https://shop.example` whoever has these keys could make tokens of `shop`, an issuer of the mesh; write the keys of `mesh.issuers.shop`, or leave the rule out: its flows have it already
            error[undeclared-token] tokens.yaml4:192 `{ jwksUri: https://other.example }` a rule for any issuer also takes tokens that say they are of `shop`; write its `issuer`
            error[undeclared-token] tokens.yaml4:238 `https://shop.example` tokens of `shop` count for a, b only; write `audiences: [a, b]`
            error[undeclared-token] tokens.yaml4:308 `https://shop.example` tokens of `shop` count for a, b only; write `audiences: [a, b]`
        "#]],
    );
}
