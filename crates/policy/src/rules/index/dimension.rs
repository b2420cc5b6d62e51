//! What rules can be told apart by: for each field, the patterns that a rule has for it and the values a request has.
use super::radix::{Pattern, Radix, SEGMENT};
use crate::matcher::{self, Facts, HostPattern, Matcher, NamespacePattern, PathMatch, Segment, Template, Text};

/// `{*}` of one template that are looked at; what follows is left to the rule itself.
const SEGMENTS_MAX: usize = 8;

/// A field that is looked up rather than compared rule by rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    Principal,
    ServiceAccount,
    Namespace,
    Path,
    Host,
    /// The whole `:authority`, in Istio's manner.
    Authority,
    Port,
    Method,
    ServerName,
    TrustDomain,
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dimensions(u16);

impl Dimensions {
    pub(super) fn with(self, one: Dimension) -> Self {
        Self(self.0 | 1 << one as u16)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn contains(self, one: Dimension) -> bool {
        self.0 & 1 << one as u16 != 0
    }
}

/// The patterns of a field.
pub(super) struct Key {
    pub(super) patterns: Vec<Pattern>,
    /// Whether a value that fits one of them surely satisfies the field; else the rule must be asked.
    pub(super) exact: bool,
}

impl Dimension {
    /// The ones that tell most apart come first: of equals the first is taken.
    pub(super) const ALL: [Self; 10] = [
        Self::Principal,
        Self::ServiceAccount,
        Self::Namespace,
        Self::Path,
        Self::Host,
        Self::Authority,
        Self::Port,
        Self::Method,
        Self::ServerName,
        Self::TrustDomain,
    ];

    /// The dimension in which a field can be proven.
    pub(super) fn of(matcher: &Matcher) -> Option<Self> {
        Some(match matcher {
            Matcher::Principal(_) => Self::Principal,
            Matcher::Namespace(_) => Self::Namespace,
            Matcher::TrustDomain(_) => Self::TrustDomain,
            Matcher::Path(_) => Self::Path,
            Matcher::Host(_) => Self::Host,
            Matcher::Authority { .. } => Self::Authority,
            Matcher::Port(_) => Self::Port,
            _ => return None,
        })
    }

    /// Whether it exists on HTTP only.
    pub(super) fn http_only(self) -> bool {
        matches!(self, Self::Path | Self::Host | Self::Authority | Self::Method)
    }

    /// Whether ASCII case is ignored in its values. Methods mind it, but those that deny do not.
    pub(super) fn fold(self) -> bool {
        matches!(self, Self::Host | Self::Authority | Self::Method | Self::ServerName)
    }

    /// What a field asks for in this dimension: without one of the patterns it surely does not hold. `None` when it
    /// does not look at the dimension, or when any value will do.
    pub(super) fn key(self, matcher: &Matcher) -> Option<Key> {
        match (self, matcher) {
            (Self::Principal, Matcher::Principal(texts)) | (Self::TrustDomain, Matcher::TrustDomain(texts)) => {
                self.texts(texts.iter(), true)
            }
            (Self::ServerName, Matcher::Sni(texts)) => self.texts(texts.iter(), true),
            (Self::Authority, Matcher::Authority { any, ignore_case }) => self.texts(any.iter(), *ignore_case),
            (Self::Host, Matcher::Host(hosts)) => {
                self.texts(hosts.iter().map(HostPattern::name), hosts.iter().all(|host| host.port().is_none()))
            }
            (Self::Method, Matcher::Method(methods) | Matcher::ExactMethod(methods)) => {
                let known: Vec<Text> = methods.known().map(|name| Text::Exact(name.into())).collect();
                self.texts(known.iter().chain(methods.texts()), false)
            }
            (Self::Port, Matcher::Port(ports)) => {
                let patterns = ports.iter().map(|port| pattern(false, &port_bytes(*port), false)).collect();
                Some(Key { patterns, exact: true })
            }
            (Self::Namespace, Matcher::Namespace(any)) => {
                let patterns: Option<Vec<_>> = any.iter().map(namespace_pattern).collect();
                Some(Key { patterns: patterns?, exact: any.iter().all(|one| one.more.is_empty()) })
            }
            (Self::Namespace, Matcher::ServiceAccount(any)) => {
                let patterns = any.iter().map(|one| {
                    let namespace = one.namespace.strip_prefix("/ns/").unwrap_or(&one.namespace);
                    pattern(false, namespace.as_bytes(), true)
                });
                Some(Key { patterns: patterns.collect(), exact: false })
            }
            (Self::ServiceAccount, Matcher::ServiceAccount(any)) => {
                let patterns = any.iter().flat_map(|one| {
                    let account = one.account.strip_prefix("sa/").unwrap_or(&one.account);
                    let followed = format!("{account}/");
                    [pattern(false, account.as_bytes(), false), pattern(false, followed.as_bytes(), true)]
                });
                Some(Key { patterns: patterns.collect(), exact: false })
            }
            (Self::Path, Matcher::Path(any)) => {
                let mut key = Key { patterns: Vec::with_capacity(any.len()), exact: true };
                for one in any {
                    match one {
                        PathMatch::Text(text) => key.patterns.push(self.text(text)?),
                        PathMatch::Template(template) => {
                            let (pattern, exact) = template_pattern(template);
                            key.patterns.push(pattern);
                            key.exact &= exact;
                        }
                    }
                }
                Some(key)
            }
            _ => None,
        }
    }

    fn texts<'t>(self, texts: impl Iterator<Item = &'t Text>, exact: bool) -> Option<Key> {
        let patterns: Option<Vec<_>> = texts.map(|text| self.text(text)).collect();
        Some(Key { patterns: patterns?, exact })
    }

    /// `None` for `*`, which tells nothing apart.
    fn text(self, text: &Text) -> Option<Pattern> {
        let mut made = match text {
            Text::Exact(text) => pattern(false, text.as_bytes(), false),
            Text::Prefix(text) => pattern(false, text.as_bytes(), true),
            Text::Suffix(text) => pattern(true, text.as_bytes(), true),
            Text::Present => return None,
        };
        if self.fold() {
            made.bytes.make_ascii_lowercase();
        }
        Some(made)
    }

    /// Walks the patterns of one direction along each value that the request has in this dimension.
    pub(super) fn visit(self, facts: &Facts, patterns: &Radix, backward: bool, found: &mut impl FnMut(u32)) {
        let mut one = |value: &str| patterns.visit(value.as_bytes(), found);
        match self {
            Self::Principal => facts.principal.into_iter().for_each(one),
            Self::TrustDomain => matcher::trust_domain(facts).into_iter().for_each(one),
            Self::Namespace if backward => {
                let uri = facts.uri.unwrap_or_default();
                uri.match_indices('/').filter_map(|(at, _)| uri.get(..at)).for_each(one);
            }
            Self::Namespace => matcher::after(facts.uri.unwrap_or_default(), "ns/").for_each(one),
            Self::ServiceAccount => matcher::after(facts.principal.unwrap_or_default(), "sa/").for_each(one),
            Self::Path => one(facts.request.path),
            Self::Host => one(facts.host_name()),
            Self::Authority => one(facts.request.host),
            Self::Method => one(facts.request.method),
            Self::ServerName => one(facts.request.sni.unwrap_or_default()),
            Self::Port => patterns.visit(&port_bytes(facts.request.port), found),
        }
    }
}

fn pattern(backward: bool, bytes: &[u8], open: bool) -> Pattern {
    let mut bytes = bytes.to_vec();
    if backward {
        bytes.reverse();
    }
    Pattern { backward, bytes, open }
}

/// In bytes of seven bits, so that none is `SEGMENT`.
fn port_bytes(port: u16) -> [u8; 3] {
    [port >> 14, port >> 7 & 0x7f, port & 0x7f].map(|bits| u8::try_from(bits).unwrap_or(0))
}

/// What follows `/ns/` in an identity, or what stands before the slash that ends it.
fn namespace_pattern(one: &NamespacePattern) -> Option<Pattern> {
    if !one.first.is_empty() {
        return Some(pattern(false, one.first.as_bytes(), true));
    }
    let last = one.more.last()?.strip_suffix('/').filter(|last| !last.is_empty())?;
    Some(pattern(true, last.as_bytes(), true))
}

/// A template, and whether nothing of it is left out.
fn template_pattern(template: &Template) -> (Pattern, bool) {
    let tail = template.tail.as_deref();
    let mut exact = !template.narrow;
    let mut bytes = Vec::new();
    let mut segments = 0;
    for segment in &template.head {
        bytes.push(b'/');
        match segment {
            Segment::Literal(literal) => bytes.extend(literal.as_bytes()),
            Segment::Any if segments == SEGMENTS_MAX => {
                return (Pattern { backward: false, bytes, open: true }, false);
            }
            Segment::Any => {
                segments += 1;
                bytes.push(SEGMENT);
            }
        }
    }
    let Some(tail) = tail else { return (Pattern { backward: false, bytes, open: false }, exact) };
    bytes.push(b'/');
    exact &= tail.is_empty();
    // Whichever says more: `/{**}/summary` is known by its end.
    if tail.len() > bytes.len() {
        (pattern(true, tail.as_bytes(), true), false)
    } else {
        (Pattern { backward: false, bytes, open: true }, exact)
    }
}
