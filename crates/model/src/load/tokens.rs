//! Reads what the model says about tokens: `mesh.issuers`, `via.jwt`, the claims of a test; and asks whether it fits
//! together. A token is never more than a further condition: nothing here can let a request through.
use std::collections::{BTreeMap, BTreeSet};

use super::{
    nouns::texts,
    problems::Problems,
    read::{Fields, Item, list},
};
use crate::{
    Auth, Claim, Flow, Issuer, KeyAddress, KeySource, Model, Name, Node, NodeKind, Reach, Role, TokenNeed, closest,
    istio::{JwtHeader, JwtRule, RequestAuthentication},
};

/// Most issuers of a mesh.
pub const ISSUERS_MAX: usize = 64;
/// Most claims that one flow may ask for.
pub const CLAIMS_MAX: usize = 64;
/// Largest key set that is written out, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 64 * 1024;
/// How deep claims may lie in claims.
const CLAIM_DEPTH_MAX: usize = 8;
/// Words of `via.jwt` that are no names.
const WORDS: [&str; 3] = ["none", "true", "false"];
/// How generated RequestAuthentications begin: `issuer-<issuer>.<node>`.
pub(crate) const OWN_PREFIX: &str = "issuer-";

/// `mesh.issuers`.
pub(crate) fn issuers(p: &mut Problems<'_>, item: Option<Item<'_>>) -> BTreeMap<Name, Issuer> {
    let mut all: BTreeMap<Name, Issuer> = BTreeMap::new();
    let Some(item) = item else { return all };
    let entries = p.map(&item, "issuers");
    if entries.len() > ISSUERS_MAX {
        p.error("too-large", &item.at_key(), format!("more than {ISSUERS_MAX} issuers"), None);
    }
    for (key, entry) in entries.into_iter().take(ISSUERS_MAX) {
        let name = p.name_at(key, "an issuer", &entry.at_key());
        if WORDS.contains(&key) {
            let message = format!("`{key}` is a word of `via.jwt`, so it cannot name an issuer");
            p.error("bad-name", &entry.at_key(), message, "give it another name".to_owned());
        }
        let Some(issuer) = issuer(p, &entry) else { continue };
        if let Some((other, _)) = all.iter().find(|(_, other)| other.issuer == issuer.issuer) {
            let at = entry.get("issuer").map_or_else(|| entry.at(), |i| i.at());
            let message = format!("issuer `{other}` is the same `{}`", issuer.issuer);
            p.error("duplicate-name", &at, message, "keep one of them".to_owned());
        }
        all.extend(name.map(|name| (name, issuer)));
    }
    all
}

fn issuer(p: &mut Problems<'_>, item: &Item<'_>) -> Option<Issuer> {
    let noun = "an issuer";
    let allowed = [
        "issuer",
        "jwks_uri",
        "jwks",
        "audiences",
        "from_headers",
        "from_params",
        "from_cookies",
        "forward",
        "private",
    ];
    let f = p.fields(item, noun, &allowed)?;
    let issuer = f.require(p, noun, "issuer", "https://login.example").and_then(|i| {
        let text = p.text(&i, "an issuer")?;
        if text.contains('*') || text.contains(char::is_whitespace) {
            let help = "write what stands in `iss` of its tokens, as in `https://login.example`".to_owned();
            p.error("bad-value", &i.at(), format!("`{text}` is not an issuer"), help);
        }
        Some(text.to_owned())
    });
    let private = f.get("private").and_then(|i| p.boolean(&i)).unwrap_or_default();
    let keys = keys(p, &f, private);
    let mut from_headers = Vec::new();
    for element in f.get("from_headers").map(|i| p.list(&i, "headers")).unwrap_or_default() {
        let (name, prefix) = if element.scalar().is_some() {
            (Some(element.clone()), None)
        } else {
            let Some(header) = p.fields(&element, "a header", &["name", "prefix"]) else { continue };
            (header.require(p, "a header", "name", "x-token"), header.get("prefix"))
        };
        let name = name.and_then(|i| p.text(&i, "a header name").map(str::to_owned));
        let prefix = prefix.and_then(|i| i.scalar()).unwrap_or_default().to_owned();
        from_headers.extend(name.map(|name| JwtHeader { name, prefix }));
    }
    Some(Issuer {
        issuer: issuer?,
        keys: keys?,
        audiences: texts(p, f.get("audiences"), "audience"),
        from_headers,
        from_params: texts(p, f.get("from_params"), "parameter"),
        from_cookies: texts(p, f.get("from_cookies"), "cookie"),
        forward: f.get("forward").and_then(|i| p.boolean(&i)).unwrap_or_default(),
        private,
    })
}

fn keys(p: &mut Problems<'_>, f: &Fields<'_>, private: bool) -> Option<KeySource> {
    match (f.get("jwks_uri"), f.get("jwks")) {
        (Some(_), Some(jwks)) => {
            let message = "keys have one source: `jwks_uri` or `jwks`".to_owned();
            p.error("misplaced-word", &jwks.at_key(), message, "leave one of them out".to_owned());
            None
        }
        (Some(item), None) => {
            let text = p.text(&item, "an address of keys")?;
            let address = address(p, &item, text)?;
            let inside = address.ip().map(Reach::of);
            if inside == Some(Reach::Never) {
                let message = format!("nobody keeps keys at `{}`: it is no address of a server", address.host);
                p.error("private-address", &item.at(), message, None);
            } else if inside == Some(Reach::Private) && !address.is_loopback() && !private {
                let message = format!("`{}` is an address of a private network", address.host);
                let help = "write `private: true` beside it if that is meant".to_owned();
                p.error("private-address", &item.at(), message, help);
            }
            Some(KeySource::Address(text.to_owned()))
        }
        (None, Some(item)) => key_set(p, &item).map(KeySource::Inline),
        (None, None) => {
            let help = "write `jwks_uri: https://login.example/.well-known/jwks.json`, or `jwks` with the keys";
            p.error("missing-field", &f.item.at_key(), "an issuer needs its keys".to_owned(), help.to_owned());
            None
        }
    }
}

/// An address of keys, which the control plane may ask.
fn address(p: &mut Problems<'_>, item: &Item<'_>, text: &str) -> Option<KeyAddress> {
    match KeyAddress::parse(text) {
        Ok(address) => Some(address),
        Err(error) => {
            let help = "write https://host/path; http:// is for this machine only, as in http://127.0.0.1:9000/keys";
            p.error("bad-value", &item.at(), format!("`{text}` is not an address of keys: {error}"), help.to_owned());
            None
        }
    }
}

/// Keys written out, as JSON in a text or as the same in YAML. Whether a signature can be checked with each of them is for
/// who checks; what can never be right is refused here.
pub(crate) fn key_set(p: &mut Problems<'_>, item: &Item<'_>) -> Option<String> {
    let text = match item.scalar() {
        Some(text) => text.to_owned(),
        None => item.yaml.to_json().to_string(),
    };
    if text.len() > KEY_SET_BYTES_MAX {
        let help = "let the issuer serve them, and name the address".to_owned();
        p.error("too-large", &item.at(), format!("this key set is larger than {KEY_SET_BYTES_MAX} bytes"), help);
        return None;
    }
    let parsed = serde_json::from_str::<serde_json::Value>(&text).ok();
    let keys = parsed.as_ref().and_then(|set| set.get("keys")).and_then(serde_json::Value::as_array);
    let help = "write '{\"keys\": [...]}' (RFC 7517)".to_owned();
    let Some(keys) = keys else {
        p.error("bad-value", &item.at(), "`jwks` is not a JSON Web Key Set".to_owned(), help);
        return None;
    };
    let word = |key: &serde_json::Value, name: &str| key.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    let fault = if keys.is_empty() {
        Some("`jwks` holds no key, so that no token would be good".to_owned())
    } else if keys.iter().any(|key| word(key, "kty").as_deref() == Some("oct")) {
        Some("`jwks` holds a symmetric key: whoever reads the model could make tokens".to_owned())
    } else if keys.iter().any(|key| key.get("d").is_some()) {
        Some("`jwks` holds a private key: whoever reads the model could make tokens".to_owned())
    } else {
        let known = ["RSA", "EC", "OKP"];
        let usable = keys.iter().any(|key| word(key, "kty").is_some_and(|kty| known.contains(&kty.as_str())));
        (!usable).then(|| format!("`jwks` holds no key of a kind that is read: {}", list(&known)))
    };
    match fault {
        Some(fault) => {
            p.error("bad-value", &item.at(), fault, "write the issuer's public keys (RFC 7517)".to_owned());
            None
        }
        None => Some(text),
    }
}

/// `via.jwt`: `none`, the name of an issuer, or `{ issuer, claims }`.
pub(crate) fn need(p: &mut Problems<'_>, item: &Item<'_>) -> Option<TokenNeed> {
    if item.entries().is_empty() || item.scalar().is_some() {
        return match p.text(item, "an issuer of tokens, or `none`")? {
            "none" | "false" => Some(TokenNeed::None),
            "true" => Some(TokenNeed::Asked { issuer: None, claims: Vec::new() }),
            name => Some(TokenNeed::Asked { issuer: Some(name.to_owned()), claims: Vec::new() }),
        };
    }
    let fields = p.fields(item, "via.jwt", &["issuer", "claims"])?;
    let issuer = fields.get("issuer").and_then(|i| p.text(&i, "an issuer of tokens").map(str::to_owned));
    let mut claims = Vec::new();
    if let Some(item) = fields.get("claims") {
        let entries = p.map(&item, "claims");
        if entries.is_empty() && p.clean(&item.path) {
            let help = "name a claim and its values, as in `{ role: [admin] }`, or leave it out".to_owned();
            p.error("bad-value", &item.at_key(), "`claims` holds nothing".to_owned(), help);
        }
        for (name, value) in entries {
            claim(p, vec![name.to_owned()], &value, &mut claims);
        }
        if claims.len() > CLAIMS_MAX {
            p.error("too-large", &item.at_key(), format!("more than {CLAIMS_MAX} claims"), None);
            claims.truncate(CLAIMS_MAX);
        }
    }
    // So that the same claims are the same token, in whatever order.
    claims.sort();
    Some(TokenNeed::Asked { issuer, claims })
}

fn claim(p: &mut Problems<'_>, path: Vec<String>, item: &Item<'_>, all: &mut Vec<Claim>) {
    let name = path.last().map(String::as_str).unwrap_or_default();
    if name.is_empty() || name.contains(['[', ']']) || path.len() > CLAIM_DEPTH_MAX {
        let help = format!("a name without brackets, at most {CLAIM_DEPTH_MAX} deep");
        p.error("bad-name", &item.at_key(), format!("`{name}` cannot name a claim"), help);
        return;
    }
    let nested = item.entries();
    if !nested.is_empty() {
        for (name, value) in nested {
            claim(p, [path.clone(), vec![name.to_owned()]].concat(), &value, all);
        }
        return;
    }
    let elements = if item.scalar().is_some() { vec![item.clone()] } else { p.list(item, "values") };
    if elements.is_empty() && p.clean(&item.path) {
        let help = "name its values, or leave it out".to_owned();
        p.error("bad-value", &item.at_key(), format!("claim `{name}` may have no value at all"), help);
    }
    let mut values = Vec::new();
    for element in elements {
        // In a token 1 and true are no texts, and only texts are compared.
        if matches!(element.yaml.to_json(), serde_json::Value::Bool(_) | serde_json::Value::Number(_)) {
            let text = element.scalar().unwrap_or_default();
            let message = "numbers and truth values in tokens are not compared, only texts".to_owned();
            let help = format!("write `\"{text}\"` if the claim is a text");
            p.error("wrong-type", &element.at(), message, help);
            continue;
        }
        values.extend(p.text(&element, "the value of a claim").map(str::to_owned));
    }
    all.push(Claim { path, values });
}

/// `jwt` of a test: the claims of a token that was found valid.
pub(crate) fn validated(p: &mut Problems<'_>, item: &Item<'_>) -> Option<serde_json::Value> {
    let entries = p.map(item, "claims");
    if !p.clean(&item.path) {
        return None;
    }
    for name in ["iss", "sub"] {
        let claim = entries.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        match claim {
            None => {
                let message = format!("a token has `{name}`");
                let help = "write the claims of a valid token, as in `{ iss: https://login.example, sub: ada }`";
                p.error("missing-field", &item.at_key(), message, help.to_owned());
            }
            Some(value) => drop(p.text(value, "a text")),
        }
    }
    Some(item.yaml.to_json())
}

/// What a flow's token means, and whether it can be had.
pub(crate) fn flow(p: &mut Problems<'_>, model: &Model, flow: &Flow, item: &Item<'_>, from: &Node, to: &Node) {
    // With an issuer that cannot be read, every further word would be a guess.
    if !to.under_ward() || !p.clean("mesh.issuers") || !p.clean_fields(item, &["via.jwt"]) {
        return;
    }
    let names: Vec<&str> = model.mesh.issuers.keys().map(Name::as_str).collect();
    let declare = "write `mesh: { issuers: { login: { issuer: https://login.example, jwks_uri: … } } }`";
    let via = item.get("via").and_then(|v| v.get("jwt"));
    let by_party = from.kind == NodeKind::Party && matches!(from.auth, Some(Auth::Jwt | Auth::Oidc));
    match (&flow.via.jwt, via) {
        (Some(TokenNeed::Asked { issuer: Some(name), .. }), Some(at)) if !names.contains(&name.as_str()) => {
            let at = at.get("issuer").unwrap_or(at).at();
            let help = match closest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => declare.to_owned(),
                None => format!("issuers are {}", list(&names)),
            };
            p.error("unknown-issuer", &at, format!("no issuer is named `{name}`"), help);
            return;
        }
        (Some(TokenNeed::Asked { issuer: None, .. }), Some(at)) if names.len() != 1 => {
            let (message, help) = match names.as_slice() {
                [] => ("the mesh names no issuer of tokens".to_owned(), declare.to_owned()),
                _ => (format!("the mesh has {} issuers", names.len()), format!("name one of {}", list(&names))),
            };
            p.error("unknown-issuer", &at.at_key(), message, help);
            return;
        }
        (None, _) if by_party && names.is_empty() => {
            let at = item.get("from").map_or_else(|| item.at(), |i| i.at());
            let message = format!(
                "`{}` proves itself with a token, and the mesh names no issuer: every request of flow `{}` is refused",
                flow.from, flow.id
            );
            let help = format!("{declare}, and `via: {{ jwt: none }}` on flows that come before any token");
            p.warn("unknown-issuer", &at, message, help);
        }
        (None, _) if by_party && names.len() > 1 => {
            let at = item.get("from").map_or_else(|| item.at(), |i| i.at());
            let message =
                format!("`{}` proves itself with a token, and the mesh has {} issuers", flow.from, names.len());
            p.error(
                "unknown-issuer",
                &at,
                message,
                format!("name one, as in `via: {{ jwt: {} }}`", names.first().copied().unwrap_or_default()),
            );
            return;
        }
        _ => {}
    }
    taken(p, model, flow, item, from);
}

/// A gateway has no tokens of its own: it passes on those of its callers, unless it takes them away.
fn taken(p: &mut Problems<'_>, model: &Model, flow: &Flow, item: &Item<'_>, from: &Node) {
    let Some((name, issuer)) = model.token_of(flow).and_then(|token| token.issuer) else { return };
    let checked = |inbound: &Flow| model.token_of(inbound).and_then(|t| t.issuer).is_some_and(|(n, _)| n == name);
    if from.role == Some(Role::Gateway) && !issuer.forward && model.flows_to(flow.from.as_str()).any(checked) {
        let at = item.get("via").and_then(|v| v.get("jwt")).unwrap_or_else(|| item.clone()).at_key();
        let message =
            format!("`{}` checks tokens of `{name}` and takes them away, and flow `{}` needs one", flow.from, flow.id);
        p.error("token-taken", &at, message, format!("write `forward: true` at `mesh.issuers.{name}`"));
    }
}

/// What a RequestAuthentication beside the model may not be, apart from its form.
pub(crate) fn beside(p: &mut Problems<'_>, item: &Item<'_>, document: &RequestAuthentication, model: &Model) {
    if document.metadata.name.starts_with(OWN_PREFIX) {
        let at = item.get("metadata").and_then(|m| m.get("name")).map_or_else(|| item.at(), |i| i.at());
        let message = format!("Ward's own RequestAuthentications begin with `{OWN_PREFIX}`");
        p.error("reserved-name", &at, message, "give it another name".to_owned());
    }
    let named: BTreeSet<&str> = model
        .mesh
        .issuers
        .values()
        .filter_map(|issuer| match &issuer.keys {
            KeySource::Address(address) => Some(address.as_str()),
            KeySource::Inline(_) => None,
        })
        .collect();
    let rules = item.get("spec").and_then(|s| s.get("jwtRules")).map(|i| i.elements()).unwrap_or_default();
    // Where a rule could not be read the two lists do not go together, and the document is refused anyway.
    for (rule, read) in
        rules.iter().zip(&document.spec.jwt_rules).filter(|_| rules.len() == document.spec.jwt_rules.len())
    {
        widens(p, rule, read, model);
    }
    for rule in rules {
        let found = rule.get("jwksUri").or_else(|| rule.get("jwks_uri"));
        let Some(uri) = found else {
            if rule.get("jwks").is_none() {
                let message = "keys are not looked up by the issuer's name".to_owned();
                p.error("missing-field", &rule.at(), message, "write `jwksUri`, or `jwks` with the keys".to_owned());
            }
            continue;
        };
        let Some(text) = uri.scalar().filter(|_| p.clean(&uri.path)) else { continue };
        let Some(address) = address(p, &uri, text).filter(|_| !named.contains(text)) else { continue };
        // A document may be written by somebody who should not make Ward ask around in its own network.
        if address.is_loopback() || address.ip().is_some_and(|ip| Reach::of(ip) != Reach::Public) {
            let message = format!("`{}` is no public address", address.host);
            let help = "declare an issuer with this `jwks_uri` under `mesh: { issuers: … }` if that is meant";
            p.error("private-address", &uri.at(), message, help.to_owned());
        }
    }
}

/// Flows that need a token of the mesh's issuer ask for its name only, and a second rule for that name adds up with the
/// first: with other keys whoever holds these could make the tokens, with other audiences tokens for others would count.
fn widens(p: &mut Problems<'_>, item: &Item<'_>, rule: &JwtRule, model: &Model) {
    let any = rule.issuer.is_empty();
    let Some((name, issuer)) = model.mesh.issuers.iter().find(|(_, one)| any || one.issuer == rule.issuer) else {
        return;
    };
    let same_keys = match &issuer.keys {
        KeySource::Address(address) => rule.jwks.is_none() && rule.jwks_uri.as_ref() == Some(address),
        KeySource::Inline(keys) => rule.jwks.as_ref() == Some(keys),
    };
    let same_audiences = issuer.audiences.is_empty()
        || (!rule.audiences.is_empty() && rule.audiences.iter().all(|one| issuer.audiences.contains(one)));
    let at = item.get("issuer").unwrap_or_else(|| item.clone()).at();
    if any {
        let message = format!("a rule for any issuer also takes tokens that say they are of `{name}`");
        p.error("undeclared-token", &at, message, "write its `issuer`".to_owned());
    } else if !same_keys {
        let message = format!("whoever has these keys could make tokens of `{name}`, an issuer of the mesh");
        let help = format!("write the keys of `mesh.issuers.{name}`, or leave the rule out: its flows have it already");
        p.error("undeclared-token", &at, message, help);
    } else if !same_audiences {
        let message = format!("tokens of `{name}` count for {} only", issuer.audiences.join(", "));
        p.error("undeclared-token", &at, message, format!("write `audiences: [{}]`", issuer.audiences.join(", ")));
    }
}
