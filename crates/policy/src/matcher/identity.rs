//! Parts of an identity.
use super::Facts;

/// A namespace as Istio asks Envoy for it, `.*/ns/<namespace>/.*` over the whole URI; so it holds in any trust domain.
#[derive(Debug)]
pub(crate) struct NamespacePattern {
    /// What stands before the first `*`.
    pub(crate) first: Box<str>,
    /// What follows each `*`, the last with its slash; empty without one, and then `first` has the slash.
    pub(crate) more: Box<[Box<str>]>,
}

impl NamespacePattern {
    /// Reads `shop`, `team-*`, `*-prod`, `*`; a `*` is any text wherever it stands.
    pub(crate) fn parse(value: &str) -> Self {
        let value = format!("{value}/");
        let mut parts = value.split('*');
        Self { first: parts.next().unwrap_or_default().into(), more: parts.map(Into::into).collect() }
    }

    pub(super) fn matches(&self, uri: &str) -> bool {
        after(uri, "ns/").any(|rest| {
            let rest = rest.strip_prefix(&*self.first);
            let after = |rest: &str, part: &str| rest.split_once(part).map(|(_, rest)| rest.len());
            // Each part as early as possible leaves the most for the others.
            rest.is_some_and(|rest| {
                let mut rest = rest;
                self.more.iter().all(|part| match after(rest, part) {
                    Some(left) => {
                        rest = rest.get(rest.len() - left..).unwrap_or_default();
                        true
                    }
                    None => false,
                })
            })
        })
    }
}

/// A service account of a namespace, in any trust domain.
#[derive(Debug)]
pub(crate) struct ServiceAccount {
    /// `/ns/<namespace>/`.
    pub(crate) namespace: Box<str>,
    /// `sa/<account>`.
    pub(crate) account: Box<str>,
}

impl ServiceAccount {
    /// `.+/ns/<namespace>/(.+/|)sa/<account>(/.+)?`, as Istio asks of Envoy, with every character literal.
    pub(super) fn matches(&self, principal: &str) -> bool {
        principal.match_indices(&*self.namespace).any(|(at, found)| {
            let rest = principal.get(at + found.len()..).unwrap_or_default();
            at > 0
                && rest.match_indices(&*self.account).any(|(start, found)| {
                    let tail = rest.get(start + found.len()..).unwrap_or_default();
                    let whole = start == 0 || (start > 1 && rest.get(..start).is_some_and(|head| head.ends_with('/')));
                    whole && (tail.is_empty() || (tail.len() > 1 && tail.starts_with('/')))
                })
        })
    }
}

/// What follows each segment of a path: `c/b/d` and `d` in `/b/c/b/d` after `b/`.
pub(crate) fn after<'a>(path: &'a str, segment: &str) -> impl Iterator<Item = &'a str> {
    path.match_indices('/').filter_map(move |(slash, _)| path.get(slash + 1..)?.strip_prefix(segment))
}

/// The trust domain of an identity.
pub(crate) fn trust_domain<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    facts.principal.and_then(|principal| principal.split('/').next())
}
