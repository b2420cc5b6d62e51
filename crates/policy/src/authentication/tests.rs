//! Scopes and issuers.
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use serde::de::DeserializeOwned;
use serde_json::json;

use serde_json::Value;

use super::*;
use crate::{Semantics, testing::workload};

mod properties;
mod requests;
mod validation;

/// `namespace/name spec`, one a line, as documents of a kind.
fn documents<T: DeserializeOwned>(kind: &str, lines: &str) -> Vec<T> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, spec) = line.split_once(' ').expect("a name and a spec");
            let (namespace, name) = name.split_once('/').expect("a namespace and a name");
            let yaml = format!(
                "apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
            );
            serde_saphyr::from_str(&yaml).expect("the test's YAML is a document")
        })
        .collect()
}

/// The workload is `payments` (app: payments, version: v1) in `pci`; the root namespace is ward-system.
fn peers(lines: &str) -> String {
    let rules = PeerRules::compile(&workload(), &documents("PeerAuthentication", lines), MtlsMode::Permissive);
    format!("{:?} 80:{:?} 81:{:?}", rules.mode(8080), rules.mode(80), rules.mode(81))
}

#[test]
fn peer_authentication_narrowest_wins() {
    for (lines, want) in [
        ("", "Permissive 80:Permissive 81:Permissive"),
        ("ward-system/mesh {mtls: {mode: STRICT}}", "Strict 80:Strict 81:Strict"),
        ("shop/other {mtls: {mode: STRICT}}", "Permissive 80:Permissive 81:Permissive"),
        ("ward-system/mesh {mtls: {mode: STRICT}}\npci/ns {mtls: {mode: DISABLE}}", "Disable 80:Disable 81:Disable"),
        (
            "pci/ns {mtls: {mode: DISABLE}}\npci/w {selector: {matchLabels: {app: payments}}, mtls: {mode: STRICT}, portLevelMtls: {80: {mode: PERMISSIVE}}}",
            "Strict 80:Permissive 81:Strict",
        ),
        (
            "pci/ns {mtls: {mode: STRICT}}\npci/w {selector: {matchLabels: {app: other}}, mtls: {mode: DISABLE}}",
            "Strict 80:Strict 81:Strict",
        ),
        // UNSET, `{}` and nothing inherit, on a port too.
        (
            "ward-system/mesh {mtls: {mode: STRICT}}\npci/ns {mtls: {mode: UNSET}}\npci/w {selector: {matchLabels: {app: payments}}, mtls: {}, portLevelMtls: {80: {mode: UNSET}, 81: {mode: DISABLE}}}",
            "Strict 80:Strict 81:Disable",
        ),
        // One scope, several documents: the first by name.
        ("pci/b {mtls: {mode: STRICT}}\npci/a {mtls: {mode: DISABLE}}", "Disable 80:Disable 81:Disable"),
        // An empty selector selects the namespace.
        ("pci/ns {selector: {matchLabels: {}}, mtls: {mode: STRICT}}", "Strict 80:Strict 81:Strict"),
        // A selector in the root namespace says nothing about others.
        (
            "ward-system/w {selector: {matchLabels: {app: payments}}, mtls: {mode: STRICT}}",
            "Permissive 80:Permissive 81:Permissive",
        ),
    ] {
        assert_eq!(peers(lines), want, "{lines}");
    }
}

#[test]
fn peer_authentication_of_workloads_in_the_root_namespace_is_ignored() {
    let root = Workload { namespace: "ward-system".to_owned(), ..workload() };
    let lines = "ward-system/w {selector: {matchLabels: {app: payments}}, mtls: {mode: DISABLE}, portLevelMtls: {80: {mode: DISABLE}}}
                 ward-system/mesh {mtls: {mode: STRICT}}";
    let rules = PeerRules::compile(&root, &documents("PeerAuthentication", lines), MtlsMode::Permissive);
    assert_eq!((rules.mode(80), rules.mode(81)), (MtlsMode::Strict, MtlsMode::Strict));
}

fn tokens(lines: &str, claims: &[Value], expect: Expect) {
    let rules = TokenRules::compile(Semantics::Ward, &workload(), &documents("RequestAuthentication", lines));
    let rules = rules.expect("the documents are good");
    let mut out = String::new();
    for claims in claims {
        match rules.admit(claims) {
            Ok(seen) => writeln!(out, "admitted {seen}").expect("a string takes it"),
            Err(fault) => writeln!(out, "{} {claims}", fault.as_str()).expect("a string takes it"),
        }
    }
    expect.assert_eq(&out);
}

#[test]
fn issuers_and_audiences() {
    tokens(
        "pci/a {jwtRules: [{issuer: i, audiences: [x, y]}, {issuer: j}]}
         ward-system/b {jwtRules: [{issuer: k}]}
         shop/c {jwtRules: [{issuer: other}]}
         pci/d {selector: {matchLabels: {app: orders}}, jwtRules: [{issuer: other}]}
         pci/e {targetRefs: [{kind: Service, name: payments}], jwtRules: [{issuer: service}]}",
        &[
            json!({"iss": "i", "aud": "x"}),
            json!({"iss": "i", "aud": ["z", "y"]}),
            json!({"iss": "i", "aud": "z"}),
            json!({"iss": "i"}),
            json!({"iss": "j"}),
            json!({"iss": "k", "aud": 1}),
            json!({"iss": "service"}),
            json!({"iss": "other"}),
            json!({"iss": "I"}),
            json!({"iss": ""}),
            json!({}),
        ],
        expect![[r#"
            admitted {"aud":"x","iss":"i"}
            admitted {"aud":["z","y"],"iss":"i"}
            jwt-audience {"aud":"z","iss":"i"}
            jwt-audience {"iss":"i"}
            admitted {"iss":"j"}
            admitted {"aud":1,"iss":"k"}
            admitted {"iss":"service"}
            jwt-issuer {"iss":"other"}
            jwt-issuer {"iss":"I"}
            jwt-issuer {"iss":""}
            jwt-issuer {}
        "#]],
    );
    // Two rules for one issuer: any of them is enough. Without rules nobody asks.
    tokens(
        "pci/a {jwtRules: [{issuer: i, audiences: [x]}, {issuer: i, audiences: [y], spaceDelimitedClaims: [roles]}]}",
        &[json!({"iss": "i", "aud": "y", "roles": "a b"}), json!({"iss": "i", "aud": "x", "roles": "a b"})],
        expect![[r#"
            admitted {"aud":"y","iss":"i","roles":["a","b"]}
            admitted {"aud":"x","iss":"i","roles":"a b"}
        "#]],
    );
    tokens(
        "",
        &[json!({"iss": "i"})],
        expect![[r#"
        admitted {"iss":"i"}
    "#]],
    );
}
