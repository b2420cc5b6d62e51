//! Reads PeerAuthentication and RequestAuthentication. Beside a model only mutual TLS is left to ask for, and keys must be
//! there to be had.
use std::collections::BTreeMap;

use super::{
    problems::Problems,
    read::{Fields, Item},
    resources::{VERSION, elements, envelope, selector, target_refs, values},
    tokens,
};
use crate::istio::{
    ClaimToHeader, JwtHeader, JwtRule, Mtls, MtlsMode, PeerAuthentication, PeerSpec, RequestAuthentication, RequestSpec,
};

const MODES: [(&str, MtlsMode); 4] = [
    ("UNSET", MtlsMode::Unset),
    ("DISABLE", MtlsMode::Disable),
    ("PERMISSIVE", MtlsMode::Permissive),
    ("STRICT", MtlsMode::Strict),
];

/// Reads a PeerAuthentication.
pub(crate) fn peer(p: &mut Problems<'_>, item: &Item<'_>, alone: bool) -> Option<PeerAuthentication> {
    let noun = "a PeerAuthentication";
    let (metadata, spec) = envelope(p, item, noun)?;
    let spec = match spec {
        Some(spec) => peer_spec(p, &spec, noun, alone),
        None => Some(PeerSpec::default()),
    };
    Some(PeerAuthentication {
        api_version: VERSION.to_owned(),
        kind: "PeerAuthentication".to_owned(),
        metadata: metadata?,
        spec: spec?,
    })
}

fn peer_spec(p: &mut Problems<'_>, item: &Item<'_>, noun: &str, alone: bool) -> Option<PeerSpec> {
    let fields = p.fields(item, noun, &["selector", "mtls", "portLevelMtls"])?;
    let selector = selector(p, &fields);
    let mtls = fields.get("mtls").filter(|i| !i.yaml.is_null()).and_then(|i| mode(p, &i, alone));
    let mut port_level_mtls = BTreeMap::new();
    if let Some(ports) = fields.get("portLevelMtls") {
        let entries = p.map(&ports, "ports");
        if entries.is_empty() && p.clean(&ports.path) {
            let help = "name a port, or leave it out".to_owned();
            p.error("bad-value", &ports.at_key(), "`portLevelMtls` holds nothing".to_owned(), help);
        }
        if selector.as_ref().is_none_or(|s| s.match_labels.is_empty()) {
            let message = "`portLevelMtls` needs a selector: ports are those of a workload".to_owned();
            p.error("missing-field", &ports.at_key(), message, "write `selector: { matchLabels: … }`".to_owned());
        }
        for (key, entry) in entries {
            let port = key.parse::<u16>().ok().filter(|port| *port > 0 && key.bytes().all(|b| b.is_ascii_digit()));
            let Some(port) = port else {
                let help = "write a whole number from 1 to 65535".to_owned();
                p.error("bad-value", &entry.at_key(), format!("`{key}` is not a port"), help);
                continue;
            };
            if let Some(mtls) = mode(p, &entry, alone) {
                port_level_mtls.insert(port, mtls);
            }
        }
    }
    Some(PeerSpec { selector, mtls, port_level_mtls })
}

fn mode(p: &mut Problems<'_>, item: &Item<'_>, alone: bool) -> Option<Mtls> {
    let fields = p.fields(item, "`mtls`", &["mode"])?;
    let Some(item) = fields.get("mode") else { return Some(Mtls::default()) };
    let mode = p.word(&item, "a mode", &MODES)?;
    if !alone && matches!(mode, MtlsMode::Disable | MtlsMode::Permissive) {
        let message = "between nodes under Ward there is mutual TLS, and nothing weaker".to_owned();
        let help = "write `mode: STRICT`, or remove the document; callers without identity go through a gateway";
        p.error("weaker-flow", &item.at(), message, help.to_owned());
    }
    Some(Mtls { mode })
}

/// Reads a RequestAuthentication.
pub(crate) fn request(p: &mut Problems<'_>, item: &Item<'_>, alone: bool) -> Option<RequestAuthentication> {
    let noun = "a RequestAuthentication";
    let (metadata, spec) = envelope(p, item, noun)?;
    let spec = match spec {
        Some(spec) => request_spec(p, &spec, noun, alone),
        None => Some(RequestSpec::default()),
    };
    Some(RequestAuthentication {
        api_version: VERSION.to_owned(),
        kind: "RequestAuthentication".to_owned(),
        metadata: metadata?,
        spec: spec?,
    })
}

fn request_spec(p: &mut Problems<'_>, item: &Item<'_>, noun: &str, alone: bool) -> Option<RequestSpec> {
    let fields = p.fields(item, noun, &["selector", "targetRef", "targetRefs", "jwtRules"])?;
    let selector = selector(p, &fields);
    let target_refs = target_refs(p, &fields);
    let mut jwt_rules = Vec::new();
    for element in elements(p, &fields, "jwtRules", "issuers") {
        jwt_rules.extend(jwt_rule(p, &element, alone));
    }
    Some(RequestSpec { selector, target_refs, jwt_rules })
}

fn jwt_rule(p: &mut Problems<'_>, item: &Item<'_>, alone: bool) -> Option<JwtRule> {
    let noun = "a rule for tokens";
    let allowed = [
        "issuer",
        "audiences",
        "jwksUri",
        "jwks_uri",
        "jwks",
        "fromHeaders",
        "fromParams",
        "fromCookies",
        "outputPayloadToHeader",
        "outputClaimToHeaders",
        "forwardOriginalToken",
        "timeout",
        "spaceDelimitedClaims",
    ];
    let f = p.fields(item, noun, &allowed)?;
    let issuer = optional(p, &f, "issuer");
    let jwks_uri = optional(p, &f, "jwksUri").or_else(|| optional(p, &f, "jwks_uri"));
    let jwks = match f.get("jwks") {
        Some(item) if !alone => tokens::key_set(p, &item),
        _ => key_set(p, &f),
    };
    if issuer.is_none() && jwks_uri.is_none() && p.clean(&item.path) {
        let help = "write `issuer: https://login.example`".to_owned();
        p.error("missing-field", &item.at(), format!("{noun} needs `issuer` or `jwksUri`"), help);
    }
    if alone
        && let (Some(uri), Some(at)) = (&jwks_uri, f.get("jwksUri").or_else(|| f.get("jwks_uri")))
        && !(uri.starts_with("https://") || uri.starts_with("http://"))
    {
        p.error("bad-value", &at.at(), format!("`{uri}` is not an address of keys"), "write https://…".to_owned());
    }
    let mut from_headers = Vec::new();
    for element in elements(p, &f, "fromHeaders", "headers") {
        let Some(header) = p.fields(&element, "a header", &["name", "prefix"]) else { continue };
        let name = header.require(p, "a header", "name", "x-token").and_then(|i| p.text(&i, "a header name"));
        let prefix = header.get("prefix").and_then(|i| i.scalar()).unwrap_or_default();
        from_headers.extend(name.map(|name| JwtHeader { name: name.to_owned(), prefix: prefix.to_owned() }));
    }
    let mut output_claim_to_headers = Vec::new();
    for element in elements(p, &f, "outputClaimToHeaders", "claims") {
        let Some(entry) = p.fields(&element, "a claim", &["header", "claim"]) else { continue };
        let header = entry.require(p, "a claim", "header", "x-team").and_then(|i| p.text(&i, "a header name"));
        let claim = entry.require(p, "a claim", "claim", "team").and_then(|i| p.text(&i, "a claim"));
        if let (Some(header), Some(claim)) = (header, claim) {
            output_claim_to_headers.push(ClaimToHeader { header: header.to_owned(), claim: claim.to_owned() });
        }
    }
    Some(JwtRule {
        issuer: issuer.unwrap_or_default(),
        audiences: values(p, &f, "audiences"),
        jwks_uri,
        jwks,
        from_headers,
        from_params: values(p, &f, "fromParams"),
        from_cookies: values(p, &f, "fromCookies"),
        output_payload_to_header: optional(p, &f, "outputPayloadToHeader"),
        output_claim_to_headers,
        forward_original_token: f.get("forwardOriginalToken").and_then(|i| p.boolean(&i)).unwrap_or_default(),
        timeout: f.get("timeout").and_then(|i| p.duration(&i).and(i.scalar().map(str::to_owned))),
        space_delimited_claims: values(p, &f, "spaceDelimitedClaims"),
    })
}

fn optional(p: &mut Problems<'_>, fields: &Fields<'_>, key: &str) -> Option<String> {
    fields.get(key).and_then(|i| p.text(&i, "a text").map(str::to_owned))
}

/// Keys written out; they may be longer than other texts.
fn key_set(p: &mut Problems<'_>, fields: &Fields<'_>) -> Option<String> {
    let item = fields.get("jwks")?;
    let text = item.scalar().unwrap_or_default();
    let keys = serde_json::from_str::<serde_json::Value>(text).ok();
    if keys.is_none_or(|keys| !keys.get("keys").is_some_and(serde_json::Value::is_array)) {
        let message = "`jwks` is not a JSON Web Key Set".to_owned();
        p.error("bad-value", &item.at(), message, "write '{\"keys\": [...]}' (RFC 7517)".to_owned());
        return None;
    }
    Some(text.to_owned())
}
