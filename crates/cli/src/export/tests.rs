//! The documents of exports, and what options would break.
use std::path::Path;

use expect_test::expect;
use model::{Model, SourceFile};

use super::*;

mod decisions;

const EXAMPLES: [&str; 7] =
    ["shop", "shop-production", "mtls-mesh", "ai-spm", "guardian", "tasky/current", "tasky/secure"];

fn example(name: &str) -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    read(&model_dir::read(&dir).expect("an example"))
}

fn read(files: &[SourceFile]) -> Model {
    let loaded = model::load(files);
    loaded.model.unwrap_or_else(|| panic!("the model is refused: {:#?}", loaded.diagnostics))
}

/// A model with documents beside it that mean something else to Istio.
const WRITTEN: &str = r#"
ward: 1
model: m
trust_domain: m.example
mesh: { svid_ttl: 1h, aliases: [old.example], issuers: { login: { issuer: "https://login.example", jwks_uri: "https://localhost/keys" } } }
zones: { outside: { trust: none }, edge: {}, inner: {} }
data: { order: { class: internal } }
nodes:
  user: { kind: party, zone: outside, auth: jwt }
  gw: { kind: service, zone: edge, role: gateway, guards: [waf], listen: [{ port: 8443, hosts: [m.example] }] }
  api: { kind: service, zone: inner, attest: token }
  db: { kind: store, zone: inner, attest: token, mode: dry-run, serves: [{ port: 5432, protocol: postgres }] }
  spare: { kind: service, zone: inner, attest: token }
  bank: { kind: service, zone: outside, endpoints: ["bank.example:443"] }
flows:
  - { id: come, from: user, to: gw, carries: [order], via: { allow: ["GET /a/{*}"], jwt: { claims: { role: [clerk] } } } }
  - { id: go, from: gw, to: api, carries: [order], via: { allow: ["GET /a/{*}", "GET /a/b/{*}/c/{*}"], limit: 5/s, timeout: 3s, audit: strict, rewrite: /a } }
  - { id: keep, from: api, to: db, carries: [order] }
  - { id: pay, from: api, to: bank, carries: [order] }
  - { id: glass, from: api, to: spare, carries: [order], standby: true }
"#;

const BESIDE: &str = r#"
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: everywhere, namespace: ward-system, labels: { team: "on" } }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/admin, /internal/*], hosts: [a.example, "*.b.example"] } }] }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: of-service, namespace: inner, annotations: { istio.io/dry-run: "true" } }
spec:
  targetRefs: [{ group: "", kind: Service, name: api }]
  action: DENY
  rules: [{ when: [{ key: "request.headers[x-team]", values: [red] }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: of-namespace, namespace: inner }
spec: { action: AUDIT, rules: [{}] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: of-nobody, namespace: inner }
spec: { selector: { matchLabels: { app: nobody } }, action: AUDIT, rules: [{}] }
"#;

fn written(more: &str) -> Model {
    let file = |name: &str, text: String| SourceFile { name: name.to_owned(), text };
    read(&[file("policies.yaml", format!("{BESIDE}{more}")), file("ward.yaml", WRITTEN.to_owned())])
}

fn exported(model: &Model, choice: Choice, label: &str) -> Result<Exported, interop::export::ExportError> {
    cluster(model, choice).and_then(|inside| istio::export(&inside, documents(model, &inside), label))
}

#[test]
fn istio_documents_of_a_model() {
    let exported = exported(&written(""), Choice::default(), "app.kubernetes.io/name").expect("an export");
    expect![[r##"
        # The model m as Istio enforces it. Written by `ward export istio`; change the model, and export again.
        #
        # Each workload is a pod with this label and a sidecar (istio-injection=enabled), under a service account of its own. A
        # Service names the protocol of each port (appProtocol): a port that Istio takes for TCP passes no request. In ambient
        # mode nobody without a waypoint looks at methods, paths and tokens.
        #
        #   namespace  label                         serviceAccountName  ports
        #   inner      app.kubernetes.io/name=api    api                 8080 http
        #   inner      app.kubernetes.io/name=db     db                  5432 tcp
        #   edge       app.kubernetes.io/name=gw     gw                  8443 http
        #   inner      app.kubernetes.io/name=spare  spare               8080 http
        #
        # The mesh must be set so (MeshConfig), or the documents mean something else:
        #
        #   trustDomain: m.example
        #   trustDomainAliases: [old.example]
        #   meshMTLS: { minProtocolVersion: TLSV1_3 }
        #   pathNormalization: { normalization: DECODE_AND_MERGE_SLASHES }
        ---
        # mutual TLS, always, to every pod of edge
        apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata:
          name: default
          namespace: edge
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
        spec:
          mtls:
            mode: STRICT
        ---
        # mutual TLS, always, to every pod of inner
        apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata:
          name: default
          namespace: inner
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
        spec:
          mtls:
            mode: STRICT
        ---
        # flow go: gw -> api
        # not expressed: limit: 5/s: requests are not counted
        # not expressed: audit: strict: decisions are not recorded, and a request passes without a record: switch access logs on
        # not expressed: timeout: 3s: write it in a VirtualService
        # not expressed: rewrite: /a: write it in the gateway's VirtualService; paths stand here as they arrive
        # not expressed: allow, of paths with `;`: Istio compares paths with them as they are; a server that cuts them off may see another path than was allowed
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: flow-go
          namespace: inner
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: api
          action: ALLOW
          rules:
          - from:
            - source:
                principals:
                - m.example/ns/edge/sa/gw
            to:
            - operation:
                ports:
                - "8080"
                methods:
                - GET
                - HEAD
                paths:
                - /{*}
                notPaths:
                - /;*
                - /.;*
                - /..;*
          - from:
            - source:
                principals:
                - m.example/ns/edge/sa/gw
            to:
            - operation:
                ports:
                - "8080"
                methods:
                - GET
                - HEAD
                paths:
                - /b/{*}/c/{*}
                notPaths:
                - /b/;*
                - /b/.;*
                - /b/..;*
        ---
        # flow keep: api -> db
        # mode: dry-run: it is only recorded what this would refuse
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: flow-keep
          namespace: inner
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
          annotations:
            istio.io/dry-run: "true"
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: db
          action: ALLOW
          rules:
          - from:
            - source:
                principals:
                - m.example/ns/inner/sa/api
            to:
            - operation:
                ports:
                - "5432"
        ---
        # callers from outside have no certificate of the mesh: the listeners of gw
        apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata:
          name: listen-gw
          namespace: edge
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: gw
          mtls:
            mode: STRICT
          portLevelMtls:
            8443:
              mode: PERMISSIVE
        ---
        # tokens of https://login.example count here
        apiVersion: security.istio.io/v1
        kind: RequestAuthentication
        metadata:
          name: issuer-login.gw
          namespace: edge
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: gw
          jwtRules:
          - issuer: https://login.example
            jwksUri: https://localhost/keys
            forwardOriginalToken: false
        ---
        # flow come: user -> gw
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: flow-come
          namespace: edge
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: gw
          action: ALLOW
          rules:
          - from:
            - source:
                requestPrincipals:
                - https://login.example/*
            to:
            - operation:
                ports:
                - "8443"
                methods:
                - GET
                - HEAD
                paths:
                - /a/{*}
                notPaths:
                - /a/;*
                - /a/.;*
                - /a/..;*
            when:
            - key: request.auth.claims[role]
              values:
              - clerk
        ---
        # no flow reaches spare: nothing may
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: no-flow-spare
          namespace: inner
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: spare
          action: ALLOW
        ---
        # written by hand
        # looser than Ward: hosts, with a port in the request
        # from the model's root namespace ward-system, for each workload
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: everywhere.api
          namespace: inner
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
            team: "on"
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: api
          action: DENY
          rules:
          - to:
            - operation:
                hosts:
                - a.example
                - "*.b.example"
                - a.example:*
                - a.example.
                - a.example.:*
                paths:
                - /admin
                - /internal/*
                - /admin/
                - /admin;*
                - /internal;*
        ---
        # written by hand
        # looser than Ward: hosts, with a port in the request
        # from the model's root namespace ward-system, for each workload
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: everywhere.db
          namespace: inner
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
            team: "on"
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: db
          action: DENY
          rules:
          - to:
            - operation:
                hosts:
                - a.example
                - "*.b.example"
                - a.example:*
                - a.example.
                - a.example.:*
                paths:
                - /admin
                - /internal/*
                - /admin/
                - /admin;*
                - /internal;*
        ---
        # written by hand
        # looser than Ward: hosts, with a port in the request
        # from the model's root namespace ward-system, for each workload
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: everywhere.gw
          namespace: edge
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
            team: "on"
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: gw
          action: DENY
          rules:
          - to:
            - operation:
                hosts:
                - a.example
                - "*.b.example"
                - a.example:*
                - a.example.
                - a.example.:*
                paths:
                - /admin
                - /internal/*
                - /admin/
                - /admin;*
                - /internal;*
        ---
        # written by hand
        # looser than Ward: hosts, with a port in the request
        # from the model's root namespace ward-system, for each workload
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: everywhere.spare
          namespace: inner
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
            team: "on"
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: spare
          action: DENY
          rules:
          - to:
            - operation:
                hosts:
                - a.example
                - "*.b.example"
                - a.example:*
                - a.example.
                - a.example.:*
                paths:
                - /admin
                - /internal/*
                - /admin/
                - /admin;*
                - /internal;*
        ---
        # written by hand
        # looser than Ward: request.headers[x-team], one of several values in a line
        # by selector, as to Istio `targetRefs` to a Service is not the workload
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: of-service
          namespace: inner
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
          annotations:
            istio.io/dry-run: "true"
        spec:
          selector:
            matchLabels:
              app.kubernetes.io/name: api
          action: DENY
          rules:
          - when:
            - key: request.headers[x-team]
              values:
              - red
        ---
        # written by hand
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata:
          name: of-namespace
          namespace: inner
          labels:
            app.kubernetes.io/managed-by: ward
            app.kubernetes.io/part-of: m
        spec:
          action: AUDIT
          rules:
          - {}
    "##]].assert_eq(&exported.yaml());
    expect![[r#"
        not expressed: svid_ttl: 1h: set it where Istio's certificates are issued (mesh)
        not expressed: standby: true: it stays shut: an emergency that opens it is Ward's own (flow glass)
        needed: pathNormalization: DECODE_AND_MERGE_SLASHES: else Istio lets paths with `%2F` and `//` pass that Ward refuses (MeshConfig)
        needed: trustDomain: m.example: else nobody is who the policies ask for; --trust-domain names the one that the mesh has (MeshConfig)
        not expressed: limit: 5/s: requests are not counted (flow go)
        not expressed: audit: strict: decisions are not recorded, and a request passes without a record: switch access logs on (flow go)
        not expressed: timeout: 3s: write it in a VirtualService (flow go)
        not expressed: rewrite: /a: write it in the gateway's VirtualService; paths stand here as they arrive (flow go)
        not expressed: allow, of paths with `;`: Istio compares paths with them as they are; a server that cuts them off may see another path than was allowed (flow go)
        not expressed: mode: dry-run: its policies are exported as dry runs, and refuse nothing (node db)
        not expressed: guards: waf: these documents guard nothing of the kind (node gw)
        not expressed: listen for m.example, and its routes: write a Gateway with a certificate, and a VirtualService (node gw)
        not expressed: jwksUri: https://localhost/keys: Istio fetches the keys: give it an address that istiod can reach (issuer-login.gw)
        not expressed: hosts, with a port in the request: Istio reads this more loosely than Ward, see docs/policy.md (AuthorizationPolicy ward-system/everywhere)
        not expressed: request.headers[x-team], one of several values in a line: Istio reads this more loosely than Ward, see docs/policy.md (AuthorizationPolicy inner/of-service)
        not expressed: selects no workload: left out (AuthorizationPolicy inner/of-nobody)
        not expressed: to: bank: it is not in the cluster, and Istio does not hold back what a workload sends: set outboundTrafficPolicy to REGISTRY_ONLY and write a ServiceEntry, or use `ward export network-policy` (flow pay)
    "#]].assert_eq(&said(&exported.notes));
}

#[test]
fn one_namespace_for_all() {
    let choice = Choice { namespace: name("prod").ok(), outside: vec!["spare".to_owned()], ..Choice::default() };
    let exported = exported(&written(""), choice, "app").expect("an export");
    let list = exported.list();
    let documents = list["items"].as_array().expect("a list").iter();
    let names: Vec<String> = documents
        .map(|one| {
            format!(
                "{} {}/{}\n",
                one["kind"].as_str().unwrap_or_default(),
                one["metadata"]["namespace"].as_str().unwrap_or_default(),
                one["metadata"]["name"].as_str().unwrap_or_default()
            )
        })
        .collect();
    expect![[r#"
        PeerAuthentication prod/default
        AuthorizationPolicy prod/flow-go
        AuthorizationPolicy prod/flow-keep
        PeerAuthentication prod/listen-gw
        RequestAuthentication prod/issuer-login.gw
        AuthorizationPolicy prod/flow-come
        AuthorizationPolicy prod/everywhere.api
        AuthorizationPolicy prod/everywhere.db
        AuthorizationPolicy prod/everywhere.gw
        AuthorizationPolicy prod/of-service
        AuthorizationPolicy prod/of-namespace.api
        AuthorizationPolicy prod/of-namespace.db
    "#]]
    .assert_eq(&names.concat());
}

#[test]
fn what_options_would_break_is_refused() {
    let place = || Choice { namespace: name("prod").ok(), ..Choice::default() };
    let trust = || Choice { trust_domain: trust_domain("cluster.local").ok(), ..Choice::default() };
    let table = [
        ("from: [{ source: { notNamespaces: [edge, inner] } }]", false, true),
        ("from: [{ source: { serviceAccounts: [gw] } }]", false, true),
        ("from: [{ source: { trustDomains: [m.example] } }]", true, false),
        ("from: [{ source: { notPrincipals: [\"*\"] } }]", false, false),
        ("when: [{ key: source.namespace, values: [edge] }]", false, true),
        ("when: [{ key: request.auth.principal, values: [\"*\"] }]", true, true),
    ];
    for (rule, namespace_holds, trust_holds) in table {
        let head = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: not-them, namespace: inner }";
        let model = written(&format!("{head}\nspec: {{ action: DENY, rules: [{{ {rule} }}] }}\n"));
        assert_eq!(exported(&model, place(), "app").is_ok(), namespace_holds, "{rule}");
        assert_eq!(exported(&model, trust(), "app").is_ok(), trust_holds, "{rule}");
        assert!(exported(&model, Choice::default(), "app").is_ok(), "{rule}");
    }
}

#[test]
fn the_same_model_is_the_same_bytes() {
    for name in EXAMPLES {
        let once = || exported(&example(name), Choice::default(), "app").expect("an export");
        assert_eq!(once().yaml(), once().yaml(), "{name}");
    }
}

#[test]
fn where_to_reach() {
    assert_eq!(
        reach("istio-system:15012").map(|one| (one.namespace.to_string(), one.port)),
        Ok(("istio-system".to_owned(), 15012))
    );
    for wrong in ["istio-system", "istio-system:0", "istio-system:x", ":1", "A:1", "a:70000"] {
        assert!(reach(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn notes_of_one_word_are_one_line() {
    let notes: Vec<Note> =
        (0..10).map(|i| Note::new(format!("flow f{i}"), "limit: 1/s", "requests are not counted")).collect();
    expect![[r#"
        not expressed: limit: 1/s: requests are not counted (flow f0, flow f1, flow f2, flow f3, flow f4, flow f5, flow f6, flow f7 and 2 more)
    "#]].assert_eq(&said(&notes));
}

#[test]
fn many_words_for_one_reason_are_one_line() {
    let notes: Vec<Note> =
        (0..10).map(|n| Note::new(format!("flow f{n}"), format!("to: n{n}"), "it is not in the cluster")).collect();
    expect![[r#"
        not expressed: to: n0, to: n1, to: n2, to: n3, to: n4, to: n5, to: n6, to: n7 and 2 more: it is not in the cluster (flow f0, flow f1, flow f2, flow f3, flow f4, flow f5, flow f6, flow f7 and 2 more)
    "#]]
    .assert_eq(&said(&notes));
    expect![[r#"
        not expressed: to: n0: it is not in the cluster (flow f0)
        not expressed: to: n1: it is not in the cluster (flow f1)
    "#]]
    .assert_eq(&said(&notes[..2]));
}
