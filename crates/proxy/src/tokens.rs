//! Tokens of requests: whose count here and by which keys, what a request's token came to, and what of it is passed on.
//! A workload without any RequestAuthentication pays nothing for this.
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName};
use identity::token::{CLOCK_SKEW, KeySet, TokenCache, Verifier};
use model::{
    KeySource,
    istio::{AuthorizationPolicy, RequestAuthentication},
};
use policy::{Admission, RuleIndex, Semantics, TokenFault, TokenHead, TokenRefusal, TokenRules, TokenVerifier};
use serde_json::{Map, Value};
use wire::v1::resources::{self as wire_resources};

use crate::{
    ask::{Ask, Headers},
    decision_id,
    fault::Fault,
    headers::Side,
    pool::Pool,
    session::{Refusal, Session},
    snapshot::Error,
    view::View,
};

/// Whose tokens count, compiled.
#[derive(Debug, Default)]
pub struct Tokens {
    rules: TokenRules,
    /// By rule; `None` as long as there are no keys: every token of that rule is refused.
    keys: Vec<Option<Arc<KeySet>>>,
    /// Headers that may hold a token, or all of its claims, in lower case.
    places: BTreeSet<String>,
    /// Headers that may hold a token, with `-` for `_`.
    dashed_places: BTreeSet<String>,
    /// Headers that only we set, with `-` for `_`.
    outputs: BTreeSet<String>,
    /// Claims that policies read, each with the names of the claims around it.
    read: BTreeSet<Vec<String>>,
}

impl Tokens {
    /// Compiles the documents that select the workload, with their keys. Keys that are missing or of no use leave an issuer
    /// without any, so that its tokens are refused (CVE-2026-31837); they must not keep other changes from being made.
    pub(crate) fn compile(
        semantics: Semantics,
        subject: &policy::Workload,
        authentications: &[wire_resources::Authentication],
        key_sets: &[wire_resources::KeySet],
    ) -> Result<Self, Vec<Error>> {
        let mut errors = Vec::new();
        let mut documents = Vec::new();
        for (i, one) in authentications.iter().enumerate() {
            match serde_json::from_str::<RequestAuthentication>(&one.document) {
                Ok(document) => documents.push(document),
                Err(e) => {
                    errors.push(Error { place: format!("authentications[{i}]"), why: format!("`{}`: {e}", one.name) });
                }
            }
        }
        let mut fetched: BTreeMap<&str, Option<Arc<KeySet>>> = BTreeMap::new();
        for (i, set) in key_sets.iter().enumerate() {
            if fetched.insert(&set.name, key_set(&set.name, &set.jwks)).is_some() {
                errors
                    .push(Error { place: format!("key_sets[{i}].name"), why: format!("`{}` stands twice", set.name) });
            }
        }
        let rules = TokenRules::compile(semantics, subject, &documents).unwrap_or_else(|faults| {
            let place = || "authentications".to_owned();
            errors.extend(faults.into_iter().map(|fault| Error { place: place(), why: fault.to_string() }));
            TokenRules::default()
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        let keys = rules.rules().map(|(_, rule)| match &rule.keys {
            Some(KeySource::Inline(text)) => key_set(&rule.document, text),
            Some(KeySource::Address(address)) => fetched.get(address.as_str()).cloned().flatten(),
            None => None,
        });
        let keys = keys.collect();
        let (places, outputs) = names(&documents);
        let dashed_places = places.iter().map(|name| name.replace('_', "-")).collect();
        Ok(Self { rules, keys, places, dashed_places, outputs, read: BTreeSet::new() })
    }

    /// Keeps in records the claims that these policies read.
    pub(crate) fn reading(mut self, policies: &[AuthorizationPolicy]) -> Self {
        let conditions = policies.iter().flat_map(|policy| &policy.spec.rules).flat_map(|rule| &rule.when);
        self.read = conditions.filter_map(|condition| claim_of(&condition.key)).collect();
        self
    }

    /// Whether a header of this lower-case name may hold a credential: its value is in no record.
    pub(crate) fn are_in(&self, name: &str) -> bool {
        matches!(name, "authorization" | "cookie") || self.places.contains(name)
    }

    /// Issuers, and whether there are keys of theirs, for people.
    pub(crate) fn issuers(&self) -> impl Iterator<Item = (&str, bool)> {
        self.rules.rules().zip(&self.keys).map(|((_, rule), keys)| (rule.issuer.as_str(), keys.is_some()))
    }

    /// What a record keeps of the claims: who it is, and what policies read.
    pub(crate) fn recorded(&self, claims: &Value) -> String {
        let mut out = Map::new();
        for name in ["iss", "sub"] {
            copy(claims, &mut out, &[name]);
        }
        for path in &self.read {
            copy(claims, &mut out, path);
        }
        Value::Object(out).to_string()
    }

    /// Looks at the token of a request. `None` where no token is asked about: nothing is read, copied or hashed then.
    pub(crate) fn examine(
        &self,
        ask: &Ask<'_>,
        side: Side,
        cache: &mut TokenCache,
        now: SystemTime,
    ) -> Result<Option<Box<Passport>>, Examined> {
        // Opaque bytes carry no token that could be seen.
        if self.rules.is_empty() || ask.protocol == policy::Protocol::Tcp {
            return Ok(None);
        }
        let mut headers = ask.passed_on(side).ok_or(Examined::Malformed)?;
        self.remove_lookalikes(&mut headers);
        let head = TokenHead { method: ask.method, headers: &headers, query: ask.query };
        let mut proof = Proof { verifier: Verifier::new(cache, now), keys: &self.keys };
        let admission = match self.rules.authenticate(&head, &mut proof) {
            Ok(admission) => admission,
            Err(refusal) => {
                // What is let through in a dry run holds no claims of the caller's making either.
                let query = self.rules.rewrite(&Admission::default(), &mut headers, ask.query).map(Cow::into_owned);
                return Err(Examined::Refused(refusal, Box::new(Rewritten { headers, query })));
            }
        };
        let query = self.rules.rewrite(&admission, &mut headers, ask.query).map(Cow::into_owned);
        let rewritten = Some(Rewritten { headers, query });
        Ok(Some(Box::new(Passport { admission: Some(admission), rewritten, let_through: None })))
    }

    /// Many applications read `x_user` as `x-user` (CGI's variables know no difference): what we set may not be forged so, nor
    /// a token that nobody has looked at stand beside one that was proven.
    fn remove_lookalikes(&self, headers: &mut HeaderMap) {
        if self.outputs.is_empty() && self.dashed_places.is_empty() {
            return;
        }
        let looks_alike = |name: &HeaderName| {
            let name = name.as_str();
            let dashed = name.replace('_', "-");
            let is_output = name.contains('_') && self.outputs.contains(&dashed);
            is_output || (self.dashed_places.contains(&dashed) && !self.places.contains(name))
        };
        let alike: Vec<HeaderName> = headers.keys().filter(|name| looks_alike(name)).cloned().collect();
        alike.iter().for_each(|name| drop(headers.remove(name)));
    }
}

/// Why a request gets no further than its token.
pub(crate) enum Examined {
    /// Its headers cannot be held.
    Malformed,
    /// The token is no good; and what a dry run passes on.
    Refused(Box<TokenRefusal>, Box<Rewritten>),
}

/// Keys, if they are of use.
fn key_set(name: &str, text: &str) -> Option<Arc<KeySet>> {
    if text.is_empty() {
        return None;
    }
    let parsed = KeySet::parse(text);
    if let Err(error) = &parsed {
        tracing::warn!(name, error = daemon::logs::chain(error), "keys of no use, tokens are refused");
    }
    parsed.ok().map(Arc::new)
}

/// The headers where tokens or all their claims stand, and those that the rules have set.
fn names(documents: &[RequestAuthentication]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut places, mut outputs) = (BTreeSet::new(), BTreeSet::new());
    for rule in documents.iter().flat_map(|document| &document.spec.jwt_rules) {
        let payload = rule.output_payload_to_header.iter().map(|name| name.to_ascii_lowercase());
        places.extend(rule.from_headers.iter().map(|header| header.name.to_ascii_lowercase()).chain(payload.clone()));
        let claims = rule.output_claim_to_headers.iter().map(|copy| copy.header.to_ascii_lowercase());
        outputs.extend(claims.chain(payload).map(|name| name.replace('_', "-")));
    }
    (places, outputs)
}

/// The claim that a condition is about.
fn claim_of(key: &str) -> Option<Vec<String>> {
    match key {
        "request.auth.audiences" => return Some(vec!["aud".to_owned()]),
        "request.auth.presenter" => return Some(vec!["azp".to_owned()]),
        _ => {}
    }
    let names = key.strip_prefix("request.auth.claims[")?.strip_suffix(']')?;
    Some(names.split("][").map(str::to_owned).collect())
}

/// Copies one claim to its place in `to`.
fn copy<N: AsRef<str>>(from: &Value, to: &mut Map<String, Value>, path: &[N]) {
    let [name, rest @ ..] = path else { return };
    let Some(found) = from.get(name.as_ref()) else { return };
    if rest.is_empty() || !found.is_object() {
        to.insert(name.as_ref().to_owned(), found.clone());
    } else if let Value::Object(inner) = to.entry(name.as_ref()).or_insert_with(|| Value::Object(Map::new())) {
        copy(found, inner, rest);
    }
}

/// The proof of signatures, with the keys of one snapshot.
struct Proof<'a> {
    verifier: Verifier<'a>,
    keys: &'a [Option<Arc<KeySet>>],
}

impl TokenVerifier for Proof<'_> {
    fn read(&mut self, token: &str) -> Result<Arc<Value>, TokenFault> {
        self.verifier.read(token)
    }

    fn prove(&mut self, rule: RuleIndex, token: &str) -> Result<(), TokenFault> {
        let keys = self.keys.get(rule.0).and_then(Option::as_ref).ok_or(TokenFault::NoKeys)?;
        self.verifier.prove(keys, token)
    }
}

/// What a request's token came to.
pub(crate) struct Passport {
    admission: Option<Admission>,
    /// What is passed on instead of what came.
    pub(crate) rewritten: Option<Rewritten>,
    /// The token was refused, that is recorded under this id, and the workload is in dry-run.
    pub(crate) let_through: Option<String>,
}

/// A request without what is not passed on, and with what the token says.
pub(crate) struct Rewritten {
    pub(crate) headers: HeaderMap,
    pub(crate) query: Option<String>,
}

impl Passport {
    /// The claims of a good token.
    pub(crate) fn claims(&self) -> Option<&Value> {
        self.admission.as_ref()?.claims()
    }

    /// The same, to be kept.
    pub(crate) fn kept(&self) -> Option<Arc<Value>> {
        Some(self.admission.as_ref()?.token.as_ref()?.claims.clone())
    }

    /// Until when the token is taken; `None` when it has no end, or there is none.
    pub(crate) fn until(&self) -> Option<SystemTime> {
        let seconds = self.claims()?.get("exp")?.as_f64().filter(|seconds| (0.0..1e11).contains(seconds))?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs_f64(seconds))?.checked_add(CLOCK_SKEW)
    }

    /// The headers that policies see.
    pub(crate) fn headers<'a>(&'a self, asked: Headers<'a>) -> Headers<'a> {
        self.rewritten.as_ref().map_or(asked, |rewritten| Headers::Map(&rewritten.headers))
    }
}

impl Session {
    /// Checks the token of a request, before any policy is asked. A bad one is refused and recorded; a missing one passes.
    pub(crate) fn authenticate(
        &self,
        view: &Rc<View>,
        ask: &Ask<'_>,
        port: u16,
        pool: Option<&Rc<Pool>>,
    ) -> Result<Option<Box<Passport>>, Refusal> {
        let tokens = &view.snapshot.tokens;
        let now = self.worker.clock().now();
        let examined = self.worker.with_token_cache(|cache| tokens.examine(ask, self.side(), cache, now));
        let (refused, rewritten) = match examined {
            Ok(passport) => return Ok(passport),
            Err(Examined::Malformed) => return Err(self.refuse(view, pool, Fault::Malformed("header-value"))),
            Err(Examined::Refused(refused, rewritten)) => (refused, rewritten),
        };
        let id = self.refused_token(view, ask, port, &refused);
        if view.snapshot.dry_run {
            let rewritten = Some(*rewritten);
            return Ok(Some(Box::new(Passport { admission: None, rewritten, let_through: Some(id) })));
        }
        let fault = Fault::Token(refused.status, refused.fault.as_str());
        Err(Refusal { decision: Some(id), ..self.refuse(view, pool, fault) })
    }

    /// Records and counts a refused token; the id of the decision. The record names issuer and check, never the token.
    fn refused_token(&self, view: &View, ask: &Ask<'_>, port: u16, refusal: &TokenRefusal) -> String {
        let reason = refusal.fault.as_str();
        let request = self.request(view, ask, port, &view.no_headers, None);
        let id = decision_id::ulid(self.worker.clock().unix_ms());
        let mut record = self.record(view, ask, &request, &id, None, reason);
        record.token_issuer.clone_from(&refusal.issuer);
        if record.status != 0 {
            record.status = refusal.status.into();
        }
        self.tally(view, ask, false, reason);
        if !record.probe {
            self.worker.refused_token(&refusal.issuer, reason);
        }
        self.record_refusal(view, ask, record);
        id
    }
}

#[cfg(test)]
mod tests;
