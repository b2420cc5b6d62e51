//! Who must prove an identity, and whose tokens count: PeerAuthentication and RequestAuthentication for one workload.
//! Tokens themselves are checked elsewhere; here only their claims are looked at.
use std::collections::BTreeMap;

use model::istio::{JwtRule, MtlsMode, PeerAuthentication, RequestAuthentication, Selector};
use serde_json::Value;

use crate::{
    CompileError, Semantics, Workload,
    compile::{refers, scope_selects},
};

/// What the ports of a workload ask of their peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRules {
    /// Never `Unset`.
    mode: MtlsMode,
    /// Where a port differs.
    ports: BTreeMap<u16, MtlsMode>,
}

impl PeerRules {
    /// The same for every port. `Unset` is `Permissive`.
    pub fn all(mode: MtlsMode) -> Self {
        Self { mode: set(mode).unwrap_or(MtlsMode::Permissive), ports: BTreeMap::new() }
    }

    /// With another mode for one port.
    #[must_use]
    pub fn with_port(mut self, port: u16, mode: MtlsMode) -> Self {
        if let Some(mode) = set(mode) {
            self.ports.insert(port, mode);
        }
        self
    }

    /// The narrowest word holds: port, then workload, then namespace, then the root namespace, then `otherwise`. UNSET
    /// says nothing. Of several in one scope only the first by name counts, as files have no age (Istio: the oldest). A
    /// selector in the root namespace selects there only, so that it is no word about other namespaces.
    pub fn compile(workload: &Workload, documents: &[PeerAuthentication], otherwise: MtlsMode) -> Self {
        let mut sorted: Vec<&PeerAuthentication> = documents.iter().collect();
        sorted.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let first = |namespace: &str, wanted: &dyn Fn(Option<&Selector>) -> bool| {
            let mut found = sorted.iter().filter(|one| {
                let selector = one.spec.selector.as_ref().filter(|selector| !selector.match_labels.is_empty());
                namespace_of(&one.metadata.namespace) == namespace && wanted(selector)
            });
            found.next().copied()
        };
        let own = first(&workload.namespace, &|selector| {
            selector.is_some() && scope_selects(&workload.namespace, selector, workload)
        });
        // In the root namespace a selector is ignored, even for the workloads that are there.
        let own = own.filter(|_| workload.namespace != workload.root_namespace);
        let namespace = first(&workload.namespace, &|selector| selector.is_none());
        let root = first(&workload.root_namespace, &|selector| selector.is_none());
        let mode = [own, namespace, root]
            .into_iter()
            .flatten()
            .find_map(|one| set(one.spec.mtls.unwrap_or_default().mode))
            .or(set(otherwise))
            .unwrap_or(MtlsMode::Permissive);
        let ports = own.map(|one| &one.spec.port_level_mtls).into_iter().flatten();
        Self { mode, ports: ports.filter_map(|(port, mtls)| Some((*port, set(mtls.mode)?))).collect() }
    }

    /// What a port asks for; never `Unset`.
    pub fn mode(&self, port: u16) -> MtlsMode {
        self.ports.get(&port).copied().unwrap_or(self.mode)
    }
}

fn set(mode: MtlsMode) -> Option<MtlsMode> {
    Some(mode).filter(|mode| *mode != MtlsMode::Unset)
}

fn namespace_of(written: &str) -> &str {
    if written.is_empty() { "default" } else { written }
}

/// Whose tokens a workload accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRules {
    rules: Vec<JwtRule>,
}

/// Why the claims of a token do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// No rule is for the token's issuer.
    #[error("no RequestAuthentication accepts tokens of this issuer")]
    Issuer,
    /// The issuer is known, and the token is for somebody else.
    #[error("the token is for another audience")]
    Audience,
}

impl TokenFault {
    /// The code: what records, metrics and JSON carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "jwt-issuer",
            Self::Audience => "jwt-audience",
        }
    }
}

impl TokenRules {
    /// The rules of every RequestAuthentication that selects the workload: they add up.
    ///
    /// # Errors
    /// A document is attached both by selector and by targets, or has a rule without issuer and keys.
    pub fn compile(
        semantics: Semantics,
        workload: &Workload,
        documents: &[RequestAuthentication],
    ) -> Result<Self, Vec<CompileError>> {
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        for document in documents {
            let namespace = namespace_of(&document.metadata.namespace);
            let spec = &document.spec;
            let error = |field: &str, message: &str, help: &str| CompileError {
                policy: format!("{namespace}/{}", document.metadata.name),
                field: field.to_owned(),
                message: message.to_owned(),
                help: Some(help.to_owned()),
            };
            if spec.selector.is_some() && !spec.target_refs.is_empty() {
                let message = "targetRefs and selector exclude each other";
                errors.push(error("spec.targetRefs", message, "keep one of them"));
            }
            for (i, rule) in spec.jwt_rules.iter().enumerate() {
                if rule.issuer.is_empty() && rule.jwks_uri.as_deref().unwrap_or_default().is_empty() {
                    let at = format!("spec.jwtRules[{i}]");
                    errors.push(error(&at, "a rule needs `issuer` or `jwksUri`", "name the issuer"));
                }
            }
            let selected = match spec.target_refs.as_slice() {
                [] => scope_selects(namespace, spec.selector.as_ref(), workload),
                refs => refs.iter().any(|one| refers(semantics, one, namespace, workload)),
            };
            if selected {
                rules.extend(spec.jwt_rules.iter().cloned());
            }
        }
        if errors.is_empty() { Ok(Self { rules }) } else { Err(errors) }
    }

    /// Whether the claims of a token, whose signature and times were found good, count here: the claims as policies see
    /// them, with the texts that a rule calls lists of words split. Without any rule no token is asked about.
    ///
    /// # Errors
    /// No rule is for this issuer and audience.
    pub fn admit(&self, claims: &Value) -> Result<Value, TokenFault> {
        if self.rules.is_empty() {
            return Ok(claims.clone());
        }
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let mut known = self.rules.iter().filter(|rule| rule.issuer.is_empty() || rule.issuer == issuer).peekable();
        if issuer.is_empty() || known.peek().is_none() {
            return Err(TokenFault::Issuer);
        }
        let rule = known.find(|rule| for_one_of(claims, &rule.audiences)).ok_or(TokenFault::Audience)?;
        let mut claims = claims.clone();
        for name in &rule.space_delimited_claims {
            if let Some(claim) = claims.get_mut(name)
                && let Some(text) = claim.as_str()
            {
                *claim = text.split_ascii_whitespace().collect();
            }
        }
        Ok(claims)
    }
}

/// Whether `aud`, a text or a list, holds one of these. Envoy compares addresses without scheme and trailing slash; here
/// they are compared whole.
fn for_one_of(claims: &Value, audiences: &[String]) -> bool {
    let wanted = |text: &str| audiences.iter().any(|audience| audience == text);
    match claims.get("aud") {
        _ if audiences.is_empty() => true,
        Some(Value::String(text)) => wanted(text),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).any(wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
