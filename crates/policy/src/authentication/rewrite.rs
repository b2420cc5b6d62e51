//! What the application gets to see of tokens: those that are not forwarded are taken out, and what rules copy of them
//! stands in headers that nobody else can have set.
use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Number, Value};

use super::{
    admission::Admission,
    tokens::{TokenRule, TokenRules},
};

impl TokenRules {
    /// Brings the head of a request into the form in which policies decide about it and the application gets it: without
    /// the headers that only rules set, whoever sent them; without tokens that are not forwarded; with what rules copy
    /// of the token. The query comes back, `None` when there is none or nothing is left of it.
    ///
    /// To be called for every request, with or without a token.
    pub fn rewrite<'q>(
        &self,
        admission: &Admission,
        headers: &mut HeaderMap,
        query: Option<&'q str>,
    ) -> Option<Cow<'q, str>> {
        for name in &self.outputs {
            headers.remove(name);
        }
        let mut query = query.map(Cow::Borrowed);
        for place in admission.clear.iter().filter_map(|place| self.places.get(*place)) {
            query = place.clear(headers, query);
        }
        for (name, value) in &admission.set {
            // A map that is full takes no more: then the header is missing, which no policy mistakes for a value.
            let _ = headers.try_append(name, value.clone());
        }
        query
    }
}

/// The headers that a rule makes of a token; `token` is its text, where there is one.
pub(super) fn headers(rule: &TokenRule, claims: &Value, token: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
    let payload = rule.payload_header.iter().filter_map(|name| {
        let payload = token?.split('.').nth(1)?;
        Some((name.clone(), HeaderValue::from_str(payload).ok()?))
    });
    let copied = rule.claim_headers.iter().filter_map(|(name, claim)| {
        let text = text(nested(claims, claim)?)?;
        // No control character gets into a header: such a claim is left out.
        Some((name.clone(), HeaderValue::from_bytes(text.as_bytes()).ok()?))
    });
    payload.chain(copied).collect()
}

/// A claim by its name, `.` going into objects.
fn nested<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(claims, |value, name| value.as_object()?.get(name))
}

/// Texts as they are, numbers and booleans written out, lists and objects as base64 of their JSON, as in Envoy; nothing
/// of `null` and the empty text.
fn text(claim: &Value) -> Option<Cow<'_, str>> {
    match claim {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text.as_str())).filter(|text| !text.is_empty()),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Value::Number(number) => Some(Cow::Owned(written(number))),
        Value::Array(_) | Value::Object(_) => Some(Cow::Owned(STANDARD.encode(claim.to_string()))),
    }
}

/// Whole numbers without a point, others with six digits after it.
fn written(number: &Number) -> String {
    match (number.as_u64(), number.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(value)) if value >= 0.0 && value.fract() == 0.0 && value < 1e19 => format!("{value:.0}"),
        (None, Some(value)) => format!("{value:.6}"),
        (None, None) => number.to_string(),
    }
}
