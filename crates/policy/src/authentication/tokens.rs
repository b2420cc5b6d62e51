//! RequestAuthentications, compiled: for one workload the issuers it believes, where their tokens stand, and what becomes
//! of them.
use http::HeaderName;
use model::{
    KeySource,
    istio::{JwtRule, RequestAuthentication},
};
use serde_json::Value;

use super::{namespace_of, place::Place};
use crate::{CompileError, Semantics, Workload, compile::Attachment, scope::authentication_selects};

/// The most tokens read in one request.
pub const TOKENS_MAX: usize = 8;

/// Whose tokens a workload accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRules {
    pub(super) semantics: Semantics,
    /// Invariant: sorted by issuer, in which order Istio asks them.
    pub(super) rules: Vec<TokenRule>,
    /// Invariant: sorted, each once; the places of the rules are indices into it.
    pub(super) places: Vec<Place>,
    /// The headers that only the proxy may set.
    pub(super) outputs: Vec<HeaderName>,
    warnings: Vec<CompileError>,
}

/// One of the rules of a workload, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub usize);

/// One issuer and what is done with its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRule {
    /// `<namespace>/<name>` of the document it stands in.
    pub document: String,
    /// Its place in `jwtRules`.
    pub index: usize,
    /// What `iss` must be; empty believes whatever the keys prove.
    pub issuer: String,
    /// Where the keys are; `None` when nothing says so, and then every token is refused.
    pub keys: Option<KeySource>,
    /// Any of these in `aud`; empty is any.
    pub(super) audiences: Vec<String>,
    pub(super) places: Vec<usize>,
    pub(super) forward: bool,
    pub(super) payload_header: Option<HeaderName>,
    /// Header, and the claim that is copied there.
    pub(super) claim_headers: Vec<(HeaderName, String)>,
    pub(super) space_delimited: Vec<String>,
}

impl TokenRules {
    /// The rules of every RequestAuthentication that selects the workload: they add up. Those that select something else
    /// are examined too.
    ///
    /// # Errors
    /// A document says what Istio refuses, or what could only do harm.
    pub fn compile(
        semantics: Semantics,
        workload: &Workload,
        documents: &[RequestAuthentication],
    ) -> Result<Self, Vec<CompileError>> {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        let mut found: Vec<(TokenRule, Vec<Place>)> = Vec::new();
        for document in documents {
            let mut examined = Examined { semantics, document, errors: &mut errors, warnings: &mut warnings };
            examined.document(workload);
            let rules = document.spec.jwt_rules.iter().enumerate();
            let rules: Vec<_> = rules.map(|(index, rule)| examined.rule(index, rule)).collect();
            if authentication_selects(semantics, document, workload) {
                found.extend(rules);
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        found.sort_by(|(a, _), (b, _)| a.issuer.cmp(&b.issuer));
        let mut places: Vec<Place> = found.iter().flat_map(|(_, places)| places.iter().cloned()).collect();
        places.sort();
        places.dedup();
        let mut rules = Vec::new();
        for (mut rule, own) in found {
            rule.places = own.iter().filter_map(|place| places.iter().position(|one| one == place)).collect();
            rule.places.sort_unstable();
            rule.places.dedup();
            rules.push(rule);
        }
        let mut outputs: Vec<HeaderName> = rules.iter().flat_map(TokenRule::outputs).cloned().collect();
        outputs.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        outputs.dedup();
        Ok(Self { semantics, rules, places, outputs, warnings })
    }

    /// Whether nothing is asked of tokens.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules, in the order in which they are asked.
    pub fn rules(&self) -> impl Iterator<Item = (RuleIndex, &TokenRule)> {
        self.rules.iter().enumerate().map(|(index, rule)| (RuleIndex(index), rule))
    }

    /// One of them.
    pub fn rule(&self, index: RuleIndex) -> Option<&TokenRule> {
        self.rules.get(index.0)
    }

    /// What cannot do what it seems to.
    pub fn warnings(&self) -> &[CompileError] {
        &self.warnings
    }
}

impl TokenRule {
    fn outputs(&self) -> impl Iterator<Item = &HeaderName> {
        self.payload_header.iter().chain(self.claim_headers.iter().map(|(header, _)| header))
    }

    /// Whether the claims name this rule's issuer. In Ward's reading a token without issuer is nobody's.
    pub(super) fn issued(&self, semantics: Semantics, claims: &Value) -> bool {
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        match semantics {
            Semantics::Ward if issuer.is_empty() => false,
            _ => self.issuer.is_empty() || self.issuer == issuer,
        }
    }

    /// Whether `aud`, a text or a list, holds one of the audiences. Ward compares them whole, Envoy without scheme and
    /// trailing slash.
    pub(super) fn is_for(&self, semantics: Semantics, claims: &Value) -> bool {
        let wanted =
            |text: &str| self.audiences.iter().any(|audience| plain(semantics, audience) == plain(semantics, text));
        match claims.get("aud") {
            _ if self.audiences.is_empty() => true,
            Some(Value::String(text)) => wanted(text),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).any(wanted),
            _ => false,
        }
    }

    /// Whether policies see other claims than the token has.
    pub(super) fn splits(&self, claims: &Value) -> bool {
        self.space_delimited.iter().any(|name| claims.get(name).is_some_and(Value::is_string))
    }

    /// The claims as policies see them: what the rule calls lists of words, split. (`scope` and `permission` are split
    /// where they are compared.)
    pub(super) fn seen(&self, mut claims: Value) -> Value {
        for name in &self.space_delimited {
            if let Some(claim) = claims.get_mut(name)
                && let Some(text) = claim.as_str()
            {
                *claim = text.split(' ').filter(|word| !word.is_empty()).collect();
            }
        }
        claims
    }
}

/// An audience as it is compared.
fn plain(semantics: Semantics, text: &str) -> &str {
    if semantics == Semantics::Ward {
        return text;
    }
    let text = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    text.strip_suffix('/').unwrap_or(text)
}

/// Headers that say where a message begins and ends or where it goes: no claim may stand there.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Gathers what is wrong with one document.
struct Examined<'a> {
    semantics: Semantics,
    document: &'a RequestAuthentication,
    errors: &'a mut Vec<CompileError>,
    warnings: &'a mut Vec<CompileError>,
}

impl Examined<'_> {
    fn error(&mut self, field: &str, message: impl Into<String>, help: &str) {
        let error = self.compile_error(field, message.into(), help);
        self.errors.push(error);
    }

    fn warn(&mut self, field: &str, message: impl Into<String>, help: &str) {
        let warning = self.compile_error(field, message.into(), help);
        self.warnings.push(warning);
    }

    fn name(&self) -> String {
        let metadata = &self.document.metadata;
        format!("{}/{}", namespace_of(&metadata.namespace), metadata.name)
    }

    fn compile_error(&self, field: &str, message: String, help: &str) -> CompileError {
        CompileError { policy: self.name(), field: field.to_owned(), message, help: Some(help.to_owned()) }
    }

    /// What stands around the rules.
    fn document(&mut self, workload: &Workload) {
        let document = self.document;
        let spec = &document.spec;
        if document.metadata.annotations.contains_key("istio.io/dry-run") {
            let message = "a RequestAuthentication cannot be tried out dry";
            self.error("metadata.annotations", message, "remove istio.io/dry-run");
        }
        let (targets, namespace) = (spec.target_refs.as_slice(), namespace_of(&document.metadata.namespace));
        let attachment = Attachment { selector: spec.selector.as_ref(), targets, namespace };
        for fault in attachment.faults(self.semantics, workload, "document") {
            self.error(&fault.field, fault.message, &fault.help);
        }
    }

    /// A rule, and where its tokens stand. What is wrong with it is gathered, so that it can be used no further then.
    fn rule(&mut self, index: usize, rule: &JwtRule) -> (TokenRule, Vec<Place>) {
        let at = format!("spec.jwtRules[{index}]");
        let uri = rule.jwks_uri.as_deref().filter(|uri| !uri.is_empty());
        if rule.issuer.is_empty() && uri.is_none() {
            self.error(&at, "a rule needs `issuer` or `jwksUri`", "name the issuer");
        }
        for (i, _) in rule.audiences.iter().enumerate().filter(|(_, audience)| audience.is_empty()) {
            self.error(&format!("{at}.audiences[{i}]"), "an audience is empty", "remove it");
        }
        if let Some(uri) = uri
            && let Err(message) = key_address(uri)
        {
            self.error(&format!("{at}.jwksUri"), message, "write https://host/path");
        }
        let keys = self.keys(&at, rule, uri);
        if rule.timeout.as_deref().is_some_and(|text| !is_duration(text)) {
            self.error(&format!("{at}.timeout"), "this is no duration of a millisecond or more", "write `5s`");
        }
        let places = self.places(&at, rule);
        let payload_header = rule.output_payload_to_header.as_deref().filter(|name| !name.is_empty());
        let payload_at = format!("{at}.outputPayloadToHeader");
        let payload_header = payload_header.and_then(|name| self.output(&payload_at, name, &places));
        let mut claim_headers = Vec::new();
        for (i, copy) in rule.output_claim_to_headers.iter().enumerate() {
            let at = format!("{at}.outputClaimToHeaders[{i}]");
            if copy.claim.is_empty() || copy.header.is_empty() {
                self.error(&at, "a copied claim needs `claim` and `header`", "write both");
            } else if let Some(header) = self.output(&format!("{at}.header"), &copy.header, &places) {
                claim_headers.push((header, copy.claim.clone()));
            }
        }
        let compiled = TokenRule {
            document: self.name(),
            index,
            issuer: rule.issuer.clone(),
            keys,
            audiences: rule.audiences.clone(),
            places: Vec::new(),
            forward: rule.forward_original_token,
            payload_header,
            claim_headers,
            space_delimited: rule.space_delimited_claims.clone(),
        };
        (compiled, places)
    }

    /// `jwks` before `jwksUri`, as in Istio.
    fn keys(&mut self, at: &str, rule: &JwtRule, uri: Option<&str>) -> Option<KeySource> {
        match (rule.jwks.as_deref().filter(|jwks| !jwks.is_empty()), uri) {
            (Some(jwks), _) => {
                self.inline_keys(&format!("{at}.jwks"), jwks);
                Some(KeySource::Inline(jwks.to_owned()))
            }
            (None, Some(uri)) => Some(KeySource::Address(uri.to_owned())),
            (None, None) => {
                let message =
                    "keys are not looked up by the issuer's name, so that every token of this rule is refused";
                self.warn(at, message, "write jwksUri or jwks");
                None
            }
        }
    }

    /// What can be said of written keys without knowing cryptography.
    fn inline_keys(&mut self, at: &str, jwks: &str) {
        let Ok(parsed) = serde_json::from_str::<Value>(jwks) else {
            self.error(at, "this is no JSON", "write a JSON Web Key Set");
            return;
        };
        let Some(keys) = parsed.get("keys").and_then(Value::as_array) else {
            let message = "this is no JSON object with a list `keys`, so that every token of this rule is refused";
            self.warn(at, message, "write a JSON Web Key Set");
            return;
        };
        for (i, key) in keys.iter().enumerate() {
            if ["d", "k"].iter().any(|name| key.get(name).is_some()) {
                let message = format!("key {i} is a secret one, which proves nothing once it is written down");
                self.warn(at, message, "make a new key, and write only its public half");
            }
        }
    }

    fn places(&mut self, at: &str, rule: &JwtRule) -> Vec<Place> {
        let mut places = Vec::new();
        for (i, header) in rule.from_headers.iter().enumerate() {
            let at = format!("{at}.fromHeaders[{i}]");
            match HeaderName::from_bytes(header.name.as_bytes()) {
                Ok(name) => places.push(Place::Header { name, prefix: header.prefix.clone() }),
                Err(_) => self.error(&at, format!("`{}` is no header", header.name), "name a header"),
            }
            if !header.prefix.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
                self.error(&at, "this prefix can stand in no header", "write `Bearer `");
            }
        }
        for (i, name) in rule.from_params.iter().enumerate() {
            match name.is_empty() {
                true => self.error(&format!("{at}.fromParams[{i}]"), "a parameter has no name", "remove it"),
                false => places.push(Place::Param(name.clone())),
            }
        }
        for (i, name) in rule.from_cookies.iter().enumerate() {
            match name.is_empty() {
                true => self.error(&format!("{at}.fromCookies[{i}]"), "a cookie has no name", "remove it"),
                false => places.push(Place::Cookie(name.clone())),
            }
        }
        if rule.from_headers.is_empty() && rule.from_params.is_empty() && rule.from_cookies.is_empty() {
            places.push(Place::Header { name: http::header::AUTHORIZATION, prefix: "Bearer ".to_owned() });
            places.push(Place::Param("access_token".to_owned()));
        }
        places
    }

    /// A header that the proxy sets, and nobody else may.
    fn output(&mut self, at: &str, name: &str, places: &[Place]) -> Option<HeaderName> {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            self.error(at, format!("`{name}` is no header"), "name a header");
            return None;
        };
        if FRAMING.contains(&header.as_str()) {
            self.error(at, format!("`{name}` says where a message ends or goes"), "name a header of its own");
        }
        let own = places.iter().any(|place| matches!(place, Place::Header { name, .. } if *name == header));
        if own && self.semantics == Semantics::Ward {
            let message = format!("`{name}` carries tokens, and would be removed before they are read");
            self.error(at, message, "name a header of its own");
        }
        Some(header)
    }
}

/// What Istio asks of an address of keys: a scheme it knows, and a port that is a number.
fn key_address(uri: &str) -> Result<(), &'static str> {
    let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"));
    let rest = rest.ok_or("this begins neither with https:// nor with http://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (host_and_port, ""),
    };
    if host.is_empty() {
        return Err("this names no host");
    }
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return Err("this names no port");
    }
    Ok(())
}

/// `5s`, `1.5s`, `100ms`, `1m30s`: at least a millisecond, and whole ones.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, unit_and_rest) = rest.split_at(digits);
        let unit = unit_and_rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit_and_rest.len());
        let (unit, next) = unit_and_rest.split_at(unit);
        let Ok(number) = number.parse::<f64>() else { return false };
        let scale = match unit {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" => 1e3,
            "ns" => 1.0,
            _ => return false,
        };
        nanoseconds += number * scale;
        rest = next;
    }
    nanoseconds >= 1e6 && (nanoseconds / 1e6).fract() == 0.0
}
