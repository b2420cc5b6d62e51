//! Annotations by which the controllers in use are told what an Ingress does: filter, ask who is there, speak TLS, stay inside.
use std::collections::BTreeSet;

use super::super::object::Object;

/// What filters requests, by annotations of the controllers in use.
pub(super) fn guards(object: &Object<'_>) -> BTreeSet<&'static str> {
    let has = |key: &str| object.annotation(key).is_some_and(|v| !v.is_empty() && v != "false");
    let table: &[(&str, &'static str)] = &[
        ("nginx.ingress.kubernetes.io/enable-modsecurity", "waf"),
        ("alb.ingress.kubernetes.io/wafv2-acl-arn", "waf"),
        ("alb.ingress.kubernetes.io/waf-acl-id", "waf"),
        ("alb.ingress.kubernetes.io/web-acl-id", "waf"),
        ("appgw.ingress.kubernetes.io/waf-policy-for-path", "waf"),
        ("haproxy-ingress.github.io/waf", "waf"),
        ("nginx.ingress.kubernetes.io/limit-rps", "rate"),
        ("nginx.ingress.kubernetes.io/limit-rpm", "rate"),
        ("nginx.ingress.kubernetes.io/limit-connections", "rate"),
        ("haproxy.org/rate-limit-requests", "rate"),
        ("nginx.ingress.kubernetes.io/auth-url", "oidc"),
    ];
    let mut all: BTreeSet<&'static str> = table.iter().filter(|(key, _)| has(key)).map(|(_, guard)| *guard).collect();
    if matches!(object.annotation("alb.ingress.kubernetes.io/auth-type"), Some("oidc" | "cognito")) {
        all.insert("oidc");
    }
    all
}

/// How callers prove themselves.
pub(super) fn proof(object: &Object<'_>) -> Option<&'static str> {
    if object.annotation("nginx.ingress.kubernetes.io/auth-tls-secret").is_some() {
        return Some("mtls");
    }
    matches!(object.annotation("nginx.ingress.kubernetes.io/auth-type"), Some("basic" | "digest")).then_some("password")
}

/// Whether TLS is terminated there, whatever `tls` says.
pub(super) fn is_secure(object: &Object<'_>) -> bool {
    let by_annotation = [
        "alb.ingress.kubernetes.io/certificate-arn",
        "networking.gke.io/managed-certificates",
        "ingress.gcp.kubernetes.io/pre-shared-cert",
        "appgw.ingress.kubernetes.io/appgw-ssl-certificate",
        "traefik.ingress.kubernetes.io/router.tls",
        "nginx.ingress.kubernetes.io/ssl-passthrough",
    ];
    by_annotation.iter().any(|a| object.annotation(a).is_some_and(|v| v != "false"))
        || object.annotation("alb.ingress.kubernetes.io/listen-ports").is_some_and(|p| p.contains("HTTPS"))
}

/// Whether an Ingress of AWS's load balancer controller is public; nothing for others.
pub(super) fn scheme(object: &Object<'_>, class: &str) -> Option<bool> {
    match object.annotation("alb.ingress.kubernetes.io/scheme") {
        Some(scheme) => Some(scheme == "internet-facing"),
        // Its default is inside.
        None => (class == "alb").then_some(false),
    }
}
