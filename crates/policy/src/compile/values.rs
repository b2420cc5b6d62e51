//! The values of a field, each compiled to what it is compared with.
use super::{Compiler, Kind};
use crate::{
    Semantics,
    matcher::{Cidr, HostPattern, Matcher, Methods, NamespacePattern, Reading, ServiceAccount, Text},
};

/// Istio's name for "the trust domain of this mesh", whatever it is called.
const CLUSTER_LOCAL: &str = "cluster.local";

impl Compiler<'_> {
    pub(super) fn matcher(&mut self, place: &str, kind: &Kind, values: &[String], reading: Reading) -> Matcher {
        match kind {
            Kind::Principal => {
                let texts = self.texts(place, values, |value| {
                    value.starts_with("spiffe://").then_some("principals are written without spiffe://")
                });
                Matcher::Principal(texts.iter().flat_map(|text| self.principal_aliases(text)).collect())
            }
            Kind::Namespace => {
                let slash = |value: &str| value.contains('/').then_some("a namespace holds no slash");
                match self.semantics {
                    Semantics::Ward => {
                        self.texts(place, values, slash);
                    }
                    // A `*` is a wildcard wherever it stands: Istio writes `.*` for it.
                    Semantics::Istio => self.doubts(place, values, slash),
                }
                Matcher::Namespace(values.iter().map(|value| NamespacePattern::parse(value)).collect())
            }
            Kind::ServiceAccount => self.service_accounts(place, values),
            Kind::TrustDomain => {
                let texts = self.trust_domains(place, values);
                Matcher::TrustDomain(texts.iter().flat_map(|text| self.domain_aliases(text)).collect())
            }
            Kind::SourceIp => Matcher::SourceIp(self.cidrs(place, values)),
            Kind::RemoteIp => Matcher::RemoteIp(self.cidrs(place, values)),
            Kind::DestinationIp => Matcher::DestinationIp(self.cidrs(place, values)),
            Kind::FilterState => match self.semantics {
                Semantics::Ward => Matcher::Unknown,
                Semantics::Istio => Matcher::Absent,
            },
            Kind::RequestPrincipal => Matcher::RequestPrincipal(values.iter().map(|v| request_principal(v)).collect()),
            Kind::Host | Kind::AuthorityHeader if self.semantics == Semantics::Istio => {
                let any = self.texts(place, values, |value| value.contains('/').then_some("a host holds no slash"));
                Matcher::Authority { any, ignore_case: matches!(kind, Kind::Host) }
            }
            Kind::Host | Kind::AuthorityHeader => {
                self.texts(place, values, |value| value.contains('/').then_some("a host holds no slash"));
                Matcher::Host(values.iter().map(|value| HostPattern::parse(value)).collect())
            }
            Kind::Port => Matcher::Port(self.ports(place, values)),
            Kind::Method => {
                self.texts(place, values, |_| None);
                match self.semantics {
                    Semantics::Ward => Matcher::Method(Methods::parse(values)),
                    Semantics::Istio => Matcher::ExactMethod(Methods::parse(values)),
                }
            }
            Kind::Path => Matcher::Path(self.paths(place, values, reading)),
            Kind::Sni => {
                let texts = self.texts(place, values, |_| None);
                Matcher::Sni(match self.semantics {
                    Semantics::Ward => texts,
                    // Envoy lowers the name it received, and compares it with the policy's to the letter.
                    Semantics::Istio => {
                        let upper = |text: &Text| text.literal().bytes().any(|b| b.is_ascii_uppercase());
                        texts.into_vec().into_iter().filter(|text| !upper(text)).collect()
                    }
                })
            }
            Kind::Header(name) => match self.semantics {
                Semantics::Ward => Matcher::Header(name.clone(), self.literal_texts(place, values)),
                Semantics::Istio => Matcher::HeaderLine(name.clone(), self.literal_texts(place, values)),
            },
            Kind::Claim(path) => Matcher::Claim(path.as_slice().into(), self.literal_texts(place, values)),
        }
    }

    /// Trust domains are refused by Istio too when they are malformed.
    fn trust_domains(&mut self, place: &str, values: &[String]) -> Vec<Text> {
        for (i, value) in values.iter().enumerate() {
            let at = format!("{place}[{i}]");
            if Text::parse(value).literal().contains('*') {
                self.error(&at, format!("`{value}` has a `*` that is not at one end"), "write prefix*, *suffix or *");
            }
            if value.contains('/') {
                self.error(&at, format!("`{value}`: a trust domain holds no slash"), "correct it");
            }
        }
        values.iter().map(|value| Text::parse(value)).collect()
    }

    /// What Ward refuses and Istio lets through, to match nothing.
    fn doubts(&mut self, place: &str, values: &[String], fault: impl Fn(&str) -> Option<&'static str>) {
        for (i, value) in values.iter().enumerate() {
            if let Some(fault) = fault(value) {
                self.warn(&format!("{place}[{i}]"), format!("`{value}` matches nothing: {fault}"), "correct it");
            }
        }
    }

    /// Values in which a `*` anywhere but at one end can only be a mistake; Istio takes it for a character.
    fn texts(&mut self, place: &str, values: &[String], fault: impl Fn(&str) -> Option<&'static str>) -> Box<[Text]> {
        if self.semantics == Semantics::Istio {
            self.doubts(place, values, fault);
            return self.literal_texts(place, values);
        }
        let mut texts = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            let text = Text::parse(value);
            let at = format!("{place}[{i}]");
            // `example.com:*` means any port; it is no wildcard in the name.
            if text.literal().strip_suffix(":*").unwrap_or(text.literal()).contains('*') {
                self.error(&at, format!("`{value}` has a `*` that is not at one end"), "write prefix*, *suffix or *");
            }
            if let Some(fault) = fault(value) {
                self.error(&at, format!("`{value}`: {fault}"), "correct it");
            }
            texts.push(text);
        }
        texts.into()
    }

    /// Values in which an inner `*` is a character like any other.
    fn literal_texts(&mut self, place: &str, values: &[String]) -> Box<[Text]> {
        let mut texts = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            let text = Text::parse(value);
            if text.literal().contains('*') {
                self.warn(
                    &format!("{place}[{i}]"),
                    format!("in `{value}` only one `*` at an end is a wildcard, the other is a character"),
                    "write prefix*, *suffix or *",
                );
            }
            texts.push(text);
        }
        texts.into()
    }

    /// A principal of this mesh is one in each of its aliases; `cluster.local` is this mesh (Istio's
    /// `ReplaceTrustDomainAliases`).
    fn principal_aliases(&self, text: &Text) -> Vec<Text> {
        let parts: Vec<&str> = text.literal().split('/').collect();
        let [domain, rest @ ..] = parts.as_slice() else { return vec![text.clone()] };
        let rest = rest.join("/");
        if parts.len() != 5 {
            return vec![text.clone()];
        }
        // A `*` at the end of the domain is a character to Envoy and a wildcard here; Ward's own reading refuses it before.
        let means =
            |known: &str| known == *domain || domain.strip_suffix('*').is_some_and(|prefix| known.starts_with(prefix));
        match text {
            Text::Exact(_) | Text::Prefix(_) if *domain == CLUSTER_LOCAL || self.domains().any(means) => {
                self.domains().map(|known| text.map(|_| format!("{known}/{rest}"))).collect()
            }
            // `*-td/ns/…`: as written, and for the domains that it does not end.
            Text::Suffix(_) if !domain.is_empty() && self.domains().any(|known| known.ends_with(domain)) => {
                let others = self.domains().filter(|known| !known.ends_with(domain));
                let others = others.map(|known| Text::parse(&format!("{known}/{rest}")));
                std::iter::once(text.clone()).chain(others).collect()
            }
            _ => vec![text.clone()],
        }
    }

    fn domain_aliases(&self, text: &Text) -> Vec<Text> {
        match text {
            Text::Exact(domain) if self.domains().any(|known| known == &**domain) => {
                self.domains().map(|known| Text::Exact(known.into())).collect()
            }
            other => vec![other.clone()],
        }
    }

    fn domains(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.workload.trust_domain).chain(&self.workload.aliases).map(String::as_str)
    }

    fn service_accounts(&mut self, place: &str, values: &[String]) -> Matcher {
        let mut accounts = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            let (namespace, account) = match value.split_once('/') {
                Some(pair) => pair,
                None => (self.namespace.as_str(), value.as_str()),
            };
            if namespace.is_empty() || account.is_empty() || value.contains('*') || account.contains('/') {
                let at = format!("{place}[{i}]");
                self.error(
                    &at,
                    format!("`{value}` is not a service account"),
                    "write namespace/account, without wildcards",
                );
                continue;
            }
            accounts.push(ServiceAccount {
                namespace: format!("/ns/{namespace}/").into(),
                account: format!("sa/{account}").into(),
            });
        }
        Matcher::ServiceAccount(accounts.into())
    }

    fn cidrs(&mut self, place: &str, values: &[String]) -> Box<[Cidr]> {
        let mut cidrs = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            match Cidr::parse(value) {
                Some(cidr) => cidrs.push(cidr),
                None => {
                    let message = format!("`{value}` is neither an address nor a range of addresses");
                    self.error(&format!("{place}[{i}]"), message, "write 10.1.2.3 or 10.0.0.0/8");
                }
            }
        }
        cidrs.into()
    }

    fn ports(&mut self, place: &str, values: &[String]) -> Box<[u16]> {
        let mut ports = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            match value.parse::<u16>() {
                Ok(port) if value.bytes().all(|b| b.is_ascii_digit()) => ports.push(port),
                _ => {
                    self.error(&format!("{place}[{i}]"), format!("`{value}` is not a port"), "write 0 to 65535");
                }
            }
        }
        ports.into()
    }
}

/// `iss/sub`, split at the last slash as the issuer may be a URL; the cases are Istio's.
fn request_principal(value: &str) -> (Text, Text) {
    let (iss, sub) = value.rsplit_once('/').map_or((value, None), |(iss, sub)| (iss, Some(sub)));
    match sub {
        None if value.starts_with('*') && value != "*" => (Text::Present, Text::parse(value)),
        None if value.ends_with('*') => (Text::parse(value), Text::Present),
        // No slash and no wildcard: a subject that is there and empty.
        None => (Text::Exact(value.into()), Text::Exact("".into())),
        Some(sub) if value.starts_with('*') => (Text::parse(iss), Text::Exact(sub.into())),
        Some(sub) if value.ends_with('*') => (Text::Exact(iss.into()), Text::parse(sub)),
        Some(sub) => (Text::Exact(iss.into()), Text::Exact(sub.into())),
    }
}
