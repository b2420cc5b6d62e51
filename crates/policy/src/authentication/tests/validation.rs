//! What Istio's validation refuses, and what could only do harm.
use model::istio::RequestAuthentication;

use super::*;

/// Errors and warnings of one document.
fn examine(semantics: Semantics, line: &str) -> String {
    let documents: Vec<RequestAuthentication> = documents("RequestAuthentication", line);
    let found = match TokenRules::compile(semantics, &workload(), &documents) {
        Ok(rules) => rules.warnings().iter().map(|warning| format!("warning {warning}")).collect::<Vec<_>>(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    };
    found.join("\n")
}

#[test]
fn rules_that_are_refused() {
    for (spec, want) in [
        (
            "{selector: {matchLabels: {app: x}}, targetRefs: [{kind: Service, name: x}]}",
            "spec.targetRefs: targetRefs and selector exclude each other; keep one of them",
        ),
        (
            "{selector: {matchLabels: {'': x}}}",
            "spec.selector.matchLabels[]: a label is compared whole, without wildcards; write the label's full value",
        ),
        (
            "{targetRefs: [{kind: Pod, name: x}]}",
            "spec.targetRefs[0]: a document cannot be attached to `Pod` of ``; name a Service, or a Gateway of gateway.networking.k8s.io",
        ),
        ("{targetRefs: [{kind: Service, name: ''}]}", "spec.targetRefs[0]: a target needs a name; name it"),
        (
            "{targetRefs: [{kind: Service, name: x, namespace: shop}]}",
            "spec.targetRefs[0]: a target stands in the namespace of its document; leave `namespace` out",
        ),
        ("{jwtRules: [{}]}", "spec.jwtRules[0]: a rule needs `issuer` or `jwksUri`; name the issuer"),
        ("{jwtRules: [{issuer: ''}]}", "spec.jwtRules[0]: a rule needs `issuer` or `jwksUri`; name the issuer"),
        (
            "{jwtRules: [{issuer: i, jwksUri: foo.com}]}",
            "spec.jwtRules[0].jwksUri: this begins neither with https:// nor with http://; write https://host/path",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://foo.com:not-a-number'}]}",
            "spec.jwtRules[0].jwksUri: this names no port; write https://host/path",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https:///x'}]}",
            "spec.jwtRules[0].jwksUri: this names no host; write https://host/path",
        ),
        ("{jwtRules: [{issuer: i, jwks: foo}]}", "spec.jwtRules[0].jwks: this is no JSON; write a JSON Web Key Set"),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', audiences: ['']}]}",
            "spec.jwtRules[0].audiences[0]: an audience is empty; remove it",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', fromHeaders: [{name: ''}]}]}",
            "spec.jwtRules[0].fromHeaders[0]: `` is no header; name a header",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', fromHeaders: [{name: 'a b'}]}]}",
            "spec.jwtRules[0].fromHeaders[0]: `a b` is no header; name a header",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', fromParams: ['']}]}",
            "spec.jwtRules[0].fromParams[0]: a parameter has no name; remove it",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', fromCookies: ['', foo]}]}",
            "spec.jwtRules[0].fromCookies[0]: a cookie has no name; remove it",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', outputClaimToHeaders: [{header: '', claim: ''}]}]}",
            "spec.jwtRules[0].outputClaimToHeaders[0]: a copied claim needs `claim` and `header`; write both",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', outputClaimToHeaders: [{header: h, claim: ''}]}]}",
            "spec.jwtRules[0].outputClaimToHeaders[0]: a copied claim needs `claim` and `header`; write both",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', outputClaimToHeaders: [{header: 'h@h', claim: c}]}]}",
            "spec.jwtRules[0].outputClaimToHeaders[0].header: `h@h` is no header; name a header",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', outputClaimToHeaders: [{header: Content-Length, claim: c}]}]}",
            "spec.jwtRules[0].outputClaimToHeaders[0].header: `Content-Length` says where a message ends or goes; name a header of its own",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', outputPayloadToHeader: Authorization}]}",
            "spec.jwtRules[0].outputPayloadToHeader: `Authorization` carries tokens, and would be removed before they are read; name a header of its own",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', timeout: 0s}]}",
            "spec.jwtRules[0].timeout: this is no duration of a millisecond or more; write `5s`",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', timeout: '5'}]}",
            "spec.jwtRules[0].timeout: this is no duration of a millisecond or more; write `5s`",
        ),
        (
            "{jwtRules: [{issuer: i, jwksUri: 'https://k', timeout: 1500us}]}",
            "spec.jwtRules[0].timeout: this is no duration of a millisecond or more; write `5s`",
        ),
    ] {
        let found = examine(Semantics::Ward, &format!("pci/a {spec}"));
        let first = found.lines().next().unwrap_or_default();
        assert_eq!(first, format!("policy pci/a: {want}"), "{spec}");
    }
}

#[test]
fn rules_that_are_accepted() {
    for spec in [
        "{}",
        "{jwtRules: []}",
        "{selector: {matchLabels: {app: x}}}",
        "{jwtRules: [{jwksUri: 'https://foo.com/cert'}]}",
        "{jwtRules: [{issuer: i, jwksUri: 'http://foo.com:8080/cert?x#y'}]}",
        "{jwtRules: [{issuer: i, jwksUri: 'https://[::1]/cert'}]}",
        "{jwtRules: [{issuer: i, jwksUri: 'https://[::1]:8443/cert', timeout: 1.5s}]}",
        "{jwtRules: [{issuer: i, jwksUri: 'https://k', timeout: 1m30s}]}",
        "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: x}]}",
        "{jwtRules: [{issuer: i, jwksUri: 'https://k', fromHeaders: [{name: x-foo, prefix: 'Bearer '}], fromParams: [a], fromCookies: [b], outputPayloadToHeader: x-p, outputClaimToHeaders: [{header: x-c, claim: a.b}], spaceDelimitedClaims: [roles], forwardOriginalToken: true, audiences: [a]}]}",
    ] {
        assert_eq!(examine(Semantics::Ward, &format!("pci/a {spec}")), "", "{spec}");
        assert_eq!(examine(Semantics::Istio, &format!("pci/a {spec}")), "", "{spec}");
    }
}

#[test]
fn rules_that_refuse_every_token_are_warned_about() {
    for (spec, want) in [
        (
            "{jwtRules: [{issuer: i}]}",
            "spec.jwtRules[0]: keys are not looked up by the issuer's name, so that every token of this rule is refused; write jwksUri or jwks",
        ),
        (
            "{jwtRules: [{issuer: i, jwks: '{}'}]}",
            "spec.jwtRules[0].jwks: this is no JSON object with a list `keys`, so that every token of this rule is refused; write a JSON Web Key Set",
        ),
        (
            "{jwtRules: [{issuer: i, jwks: '{\"keys\":[{\"kty\":\"RSA\",\"d\":\"x\"}]}'}]}",
            "spec.jwtRules[0].jwks: key 0 is a secret one, which proves nothing once it is written down; make a new key, and write only its public half",
        ),
    ] {
        assert_eq!(
            examine(Semantics::Ward, &format!("pci/a {spec}")),
            format!("warning policy pci/a: {want}"),
            "{spec}"
        );
    }
}

#[test]
fn a_document_that_selects_another_workload_is_examined_too() {
    let found = examine(Semantics::Ward, "shop/b {jwtRules: [{issuer: i}, {audiences: [x]}]}");
    assert!(found.starts_with("policy shop/b: spec.jwtRules[1]: a rule needs `issuer` or `jwksUri`"), "{found}");
}

#[test]
fn there_is_no_dry_run() {
    let mut found: Vec<RequestAuthentication> = documents("RequestAuthentication", "pci/a {}");
    found[0].metadata.annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
    let errors = TokenRules::compile(Semantics::Ward, &workload(), &found).expect_err("it is refused");
    assert_eq!(errors[0].field, "metadata.annotations");
}
