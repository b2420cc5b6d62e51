//! Which of the tokens of a request count, by the rules of a workload.
//!
//! The tokens are asked about as Istio builds Envoy's filter: any rule whose places hold tokens that are all its own is
//! enough; else each place must be empty, or its first token somebody's. In Ward's reading, besides, *every* token that
//! stands in a known place must be proven by a rule of that place: whoever is behind the proxy may read any of them.
use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use model::TokenFault;
use serde_json::Value;

use super::{
    place::{Found, Place},
    rewrite,
    tokens::{RuleIndex, TOKENS_MAX, TokenRule, TokenRules},
};
use crate::Semantics;

/// Who can take tokens apart and prove them: the shell, with the keys it holds and the time it is.
pub trait TokenVerifier {
    /// The claims of a token that is well-formed and valid now; nothing is proven by that.
    ///
    /// # Errors
    /// It is malformed, expired, …
    fn read(&mut self, token: &str) -> Result<Arc<Value>, TokenFault>;

    /// Whether the keys of a rule prove it.
    ///
    /// # Errors
    /// They do not, or are not known (`NoKeys`).
    fn prove(&mut self, rule: RuleIndex, token: &str) -> Result<(), TokenFault>;
}

/// What is looked at of a request.
#[derive(Clone, Copy, Debug)]
pub struct TokenHead<'a> {
    /// Method.
    pub method: &'a str,
    /// Headers as they came.
    pub headers: &'a HeaderMap,
    /// Query as it came, without `?`.
    pub query: Option<&'a str>,
}

/// What the tokens of a request come to, and what [`TokenRules::rewrite`] does about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// The token by which policies decide; `None` when there was none.
    pub token: Option<Authenticated>,
    /// Places that are cleared.
    pub(super) clear: Vec<usize>,
    /// Headers that are set.
    pub(super) set: Vec<(HeaderName, HeaderValue)>,
}

/// A token that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Authenticated {
    /// The rule that accepted it.
    pub rule: RuleIndex,
    /// Its issuer.
    pub issuer: String,
    /// Where it stood; `None` when its claims came without it.
    pub place: Option<Place>,
    /// Its claims, as policies see them.
    pub claims: Arc<Value>,
}

/// Why a request is refused for its tokens. Holds nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRefusal {
    /// What is wrong.
    pub fault: TokenFault,
    /// 401; in Istio's reading 403 when the token is for another audience.
    pub status: u16,
    /// The rule that came nearest to accepting it.
    pub rule: Option<RuleIndex>,
    /// `<namespace>/<name>` of that rule's document, or of the only one; else empty.
    pub document: String,
    /// Its issuer; else empty.
    pub issuer: String,
    /// Where the token stands.
    pub place: String,
}

impl fmt::Display for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)?;
        if !self.document.is_empty() {
            write!(f, " (RequestAuthentication {}, issuer `{}`)", self.document, self.issuer)?;
        }
        Ok(())
    }
}

impl std::error::Error for TokenRefusal {}

impl Admission {
    /// The claims that policies see.
    pub fn claims(&self) -> Option<&Value> {
        self.token.as_ref().map(|token| &*token.claims)
    }
}

impl TokenRules {
    /// What the tokens of a request come to. A request without any is admitted, as is a CORS preflight, which never has
    /// one; nothing is allocated for it.
    ///
    /// # Errors
    /// A token that stands where tokens are looked for does not count.
    pub fn authenticate(
        &self,
        head: &TokenHead<'_>,
        verifier: &mut dyn TokenVerifier,
    ) -> Result<Admission, Box<TokenRefusal>> {
        if self.rules.is_empty() {
            return Ok(Admission::default());
        }
        let found = self.find(head);
        if found.is_empty() {
            return Ok(Admission::default());
        }
        if is_preflight(head) {
            // Nobody has looked at them.
            let clear = match self.semantics {
                Semantics::Ward => found.iter().map(|one| one.place).collect(),
                Semantics::Istio => Vec::new(),
            };
            return Ok(Admission { clear, ..Admission::default() });
        }
        if found.len() > TOKENS_MAX {
            return Err(self.refusal(&found, 0, None, TokenFault::TooLong));
        }
        let claims = vec![None; found.len()];
        let mut asking = Asking { rules: self, found: &found, verifier, claims, known: Vec::new(), good: Vec::new() };
        let chosen = asking.as_istio().map_err(|fault| asking.explain(fault))?;
        let by = match self.semantics {
            Semantics::Istio => Vec::new(),
            Semantics::Ward => asking.every(chosen)?,
        };
        Ok(self.admitted(&mut asking, &by, chosen))
    }

    /// The claims, as policies see them, of a token that somebody else found valid: whether they count here, by issuer and
    /// audience alone. Without any rule they do.
    ///
    /// # Errors
    /// No rule is for this issuer and audience.
    pub fn admit(&self, claims: &Value) -> Result<Value, TokenFault> {
        match self.vouched(claims) {
            Ok(admission) => Ok(admission.claims().cloned().unwrap_or_default()),
            Err(refusal) => Err(refusal.fault),
        }
    }

    /// The same, as an admission.
    ///
    /// # Errors
    /// No rule is for this issuer and audience.
    pub fn vouched(&self, claims: &Value) -> Result<Admission, Box<TokenRefusal>> {
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let issued = self.rules().filter(|(_, rule)| rule.issued(self.semantics, claims));
        let mut issued = issued.peekable();
        let nearest = issued.peek().map(|(index, _)| *index);
        let (index, seen) = match issued.find(|(_, rule)| rule.is_for(self.semantics, claims)) {
            Some((index, rule)) => (index, rule.seen(claims.clone())),
            None if self.rules.is_empty() => (RuleIndex(0), claims.clone()),
            None => {
                let fault = if nearest.is_some() { TokenFault::Audience } else { TokenFault::Issuer };
                return Err(self.refusal(&[], 0, nearest, fault));
            }
        };
        let set = self.rule(index).map(|rule| rewrite::headers(rule, claims, None)).unwrap_or_default();
        let token = Some(Authenticated { rule: index, issuer: issuer.to_owned(), place: None, claims: Arc::new(seen) });
        Ok(Admission { token, clear: Vec::new(), set })
    }

    fn find<'a>(&self, head: &TokenHead<'a>) -> Vec<Found<'a>> {
        let mut found = Vec::new();
        for (index, place) in self.places.iter().enumerate() {
            // What callers write where only the proxy writes is removed, and read by nobody.
            if matches!(place, Place::Header { name, .. } if self.outputs.contains(name)) {
                continue;
            }
            place.find(index, head.headers, head.query, &mut found);
        }
        if self.semantics == Semantics::Istio {
            found.retain(|one| one.plain);
        }
        found
    }

    fn admitted(&self, asking: &mut Asking<'_>, by: &[usize], chosen: Chosen) -> Admission {
        let mut admission = Admission::default();
        let found = asking.found;
        let good = std::mem::take(&mut asking.good);
        let forwards = |rule: usize| self.rules.get(rule).is_some_and(|rule| rule.forward);
        match self.semantics {
            Semantics::Ward => {
                let cleared = found.iter().zip(by).filter(|(_, rule)| !forwards(**rule));
                admission.clear = cleared.map(|(one, _)| one.place).collect();
            }
            Semantics::Istio => {
                let cleared = good.iter().filter(|(rule, _)| !forwards(*rule));
                let cleared = cleared.filter_map(|(_, token)| found.get(*token)).map(|one| one.place);
                // Envoy takes no cookie away.
                let cookie = |place: &usize| matches!(self.places.get(*place), Some(Place::Cookie(_)));
                admission.clear = cleared.filter(|place| !cookie(place)).collect();
            }
        }
        let set_by = if self.semantics == Semantics::Ward { chosen.as_slice() } else { &good };
        for (rule, token) in set_by {
            if let (Some(rule), Ok(claims)) = (self.rules.get(*rule), asking.read(*token)) {
                let text = found.get(*token).and_then(|one| one.token.as_deref());
                admission.set.extend(rewrite::headers(rule, &claims, text));
            }
        }
        if let Some((index, token)) = chosen
            && let (Some(rule), Some(one), Ok(claims)) = (self.rules.get(index), found.get(token), asking.read(token))
        {
            let seen = if rule.splits(&claims) { Arc::new(rule.seen(Value::clone(&claims))) } else { claims };
            admission.token = Some(Authenticated {
                rule: RuleIndex(index),
                issuer: seen.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned(),
                place: self.places.get(one.place).cloned(),
                claims: seen,
            });
        }
        admission
    }

    fn refusal(
        &self,
        found: &[Found<'_>],
        token: usize,
        rule: Option<RuleIndex>,
        fault: TokenFault,
    ) -> Box<TokenRefusal> {
        // What was unreadable or too old was for the only issuer there is.
        let only = || self.rules.first().filter(|_| self.rules.len() == 1 && fault != TokenFault::Issuer);
        let named = rule.and_then(|index| self.rule(index)).or_else(only);
        let place = found.get(token).and_then(|one| self.places.get(one.place));
        let status = match (self.semantics, fault) {
            (Semantics::Istio, TokenFault::Audience) => 403,
            _ => 401,
        };
        Box::new(TokenRefusal {
            fault,
            status,
            rule,
            document: named.map(|rule| rule.document.clone()).unwrap_or_default(),
            issuer: named.map(|rule| rule.issuer.clone()).unwrap_or_default(),
            place: place.map_or_else(|| "token".to_owned(), ToString::to_string),
        })
    }
}

/// A preflight as Envoy knows it: it carries no credentials (Fetch §3.3.5).
fn is_preflight(head: &TokenHead<'_>) -> bool {
    let present = |name: HeaderName| head.headers.get(name).is_some_and(|value| !value.is_empty());
    head.method == "OPTIONS" && present(header::ORIGIN) && present(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The questions about the tokens of one request, each asked once. Rules and tokens are named by their indices.
struct Asking<'a> {
    rules: &'a TokenRules,
    found: &'a [Found<'a>],
    verifier: &'a mut dyn TokenVerifier,
    /// By token.
    claims: Vec<Option<Result<Arc<Value>, TokenFault>>>,
    known: Vec<((usize, usize), Result<(), TokenFault>)>,
    /// What Envoy would have called good on the way, in that order.
    good: Vec<(usize, usize)>,
}

/// A rule and one of the tokens it accepted; `None` when there was no token.
type Chosen = Option<(usize, usize)>;

impl Asking<'_> {
    /// What Istio makes of it: any of the rules; else, for each rule, it or no token (or a first token that is somebody's).
    fn as_istio(&mut self) -> Result<Chosen, TokenFault> {
        let count = self.rules.rules.len();
        for rule in 0..count {
            if let Ok(Some(token)) = self.all_of(rule) {
                return Ok(Some((rule, token)));
            }
        }
        let mut chosen = None;
        for rule in 0..count {
            if let Some(found) = self.last_of(rule)? {
                chosen = Some(found);
            }
        }
        Ok(chosen)
    }

    /// The tokens in the places of a rule, from the last to the first, as Envoy takes them.
    fn tokens_of(&self, rule: usize) -> Vec<usize> {
        let Some(rule) = self.rules.rules.get(rule) else { return Vec::new() };
        let mine = |one: &Found<'_>| one.plain && rule.places.contains(&one.place);
        let all = self.found.iter().enumerate().rev();
        all.filter(|(_, one)| mine(one)).map(|(token, _)| token).collect()
    }

    /// All of them are the rule's: the first is the one that counts.
    fn all_of(&mut self, rule: usize) -> Result<Option<usize>, TokenFault> {
        let mut last = None;
        for token in self.tokens_of(rule) {
            self.ask(rule, token)?;
            self.is_good(rule, token);
            last = Some(token);
        }
        Ok(last)
    }

    /// None, or the first is proven by the keys of whoever its issuer is.
    fn last_of(&mut self, rule: usize) -> Result<Chosen, TokenFault> {
        let (mut outcome, mut chosen) = (Ok(()), None);
        for token in self.tokens_of(rule) {
            outcome = self.by_issuer(rule, token).map(|by| {
                self.is_good(by, token);
                chosen = Some((by, token));
            });
        }
        outcome.map(|()| chosen)
    }

    fn is_good(&mut self, rule: usize, token: usize) {
        if !self.good.contains(&(rule, token)) {
            self.good.push((rule, token));
        }
    }

    /// The first rule that names the token's issuer, else the first that believes any, if the place is open to it.
    fn by_issuer(&mut self, rule: usize, token: usize) -> Result<usize, TokenFault> {
        let claims = self.read(token)?;
        let semantics = self.rules.semantics;
        let issued = |rule: &TokenRule| rule.issued(semantics, &claims);
        if !self.rules.rules.get(rule).is_some_and(issued) {
            return Err(TokenFault::Issuer);
        }
        let mut rules = self.rules.rules.iter();
        let named = rules.position(|rule| !rule.issuer.is_empty() && issued(rule));
        let by = named.or_else(|| self.rules.rules.iter().position(issued)).ok_or(TokenFault::Issuer)?;
        self.ask(by, token).map(|()| by)
    }

    /// Whether a rule accepts a token: its issuer, its audience, its keys.
    fn ask(&mut self, rule: usize, token: usize) -> Result<(), TokenFault> {
        if let Some((_, answer)) = self.known.iter().find(|(asked, _)| *asked == (rule, token)) {
            return *answer;
        }
        let answer = self.ask_anew(rule, token);
        self.known.push(((rule, token), answer));
        answer
    }

    fn ask_anew(&mut self, index: usize, token: usize) -> Result<(), TokenFault> {
        let claims = self.read(token)?;
        let rule = self.rules.rules.get(index).ok_or(TokenFault::Issuer)?;
        if !rule.issued(self.rules.semantics, &claims) {
            return Err(TokenFault::Issuer);
        }
        if !rule.is_for(self.rules.semantics, &claims) {
            return Err(TokenFault::Audience);
        }
        let text = self.found.get(token).and_then(|one| one.token.as_deref()).unwrap_or_default();
        self.verifier.prove(RuleIndex(index), text)
    }

    fn read(&mut self, token: usize) -> Result<Arc<Value>, TokenFault> {
        if let Some(Some(known)) = self.claims.get(token) {
            return known.clone();
        }
        let text = self.found.get(token).and_then(|one| one.token.as_deref());
        let answer = match text {
            Some(text) => self.verifier.read(text),
            None => Err(TokenFault::Malformed("what stands in its place cannot be one")),
        };
        if let Some(slot) = self.claims.get_mut(token) {
            *slot = Some(answer.clone());
        }
        answer
    }

    /// For every token a rule of its place that accepts it, the chosen one first.
    fn every(&mut self, chosen: Chosen) -> Result<Vec<usize>, Box<TokenRefusal>> {
        let mut by = Vec::new();
        for token in 0..self.found.len() {
            let first = chosen.filter(|(_, one)| *one == token).map(|(rule, _)| rule);
            let (rule, answer) = self.nearest(token, first);
            match (rule, answer) {
                (Some(rule), Ok(())) => by.push(rule),
                (rule, answer) => {
                    let fault = answer.err().unwrap_or(TokenFault::Issuer);
                    return Err(self.rules.refusal(self.found, token, rule.map(RuleIndex), fault));
                }
            }
        }
        Ok(by)
    }

    /// The rule of its place that accepts a token, or the one that comes nearest to it.
    fn nearest(&mut self, token: usize, first: Option<usize>) -> (Option<usize>, Result<(), TokenFault>) {
        let place = self.found.get(token).map(|one| one.place);
        let here = |rule: &usize| {
            let rule = self.rules.rules.get(*rule);
            rule.is_some_and(|rule| place.is_some_and(|place| rule.places.contains(&place)))
        };
        let all = first.into_iter().chain(0..self.rules.rules.len());
        let here: Vec<usize> = all.filter(here).collect();
        let mut nearest: (Option<usize>, Result<(), TokenFault>) = (None, Err(TokenFault::Issuer));
        for rule in here {
            match self.ask(rule, token) {
                Ok(()) => return (Some(rule), Ok(())),
                Err(fault) => {
                    // A rule for another issuer says nothing about the token, unless the token says nothing either.
                    let before = nearest.1.err().unwrap_or(TokenFault::Issuer);
                    if before == TokenFault::Issuer && fault != TokenFault::Issuer {
                        let about_the_rule = matches!(
                            fault,
                            TokenFault::Audience | TokenFault::NoKeys | TokenFault::UnknownKey | TokenFault::Signature
                        );
                        nearest = (about_the_rule.then_some(rule), Err(fault));
                    }
                }
            }
        }
        nearest
    }

    /// The refusal of a request: the token with this fault, or any that is not accepted, by what is nearest to its
    /// acceptance. The status stays that of the fault.
    fn explain(&mut self, fault: TokenFault) -> Box<TokenRefusal> {
        let mut bad = None;
        for token in 0..self.found.len() {
            if let (rule, Err(found)) = self.nearest(token, None) {
                if found == fault {
                    bad = Some((token, rule, found));
                    break;
                }
                bad = bad.or(Some((token, rule, found)));
            }
        }
        let (token, rule, found) = bad.unwrap_or((0, None, fault));
        let status = self.rules.refusal(self.found, token, None, fault).status;
        TokenRefusal { status, ..*self.rules.refusal(self.found, token, rule.map(RuleIndex), found) }.into()
    }
}
