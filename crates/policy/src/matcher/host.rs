//! Hosts, with and without a port.
use super::Text;

/// A request's host, split.
pub(super) struct Host<'a> {
    /// Without port and trailing dot; brackets of an IPv6 address kept.
    pub(super) name: &'a str,
    port: Option<&'a str>,
}

impl<'a> Host<'a> {
    pub(super) fn parse(host: &'a str) -> Self {
        let host = host.trim();
        let (name, port) = split_port(host);
        Self { name: name.trim_end_matches('.'), port }
    }
}

/// `example.com:8080` and `[::1]:8080`; what follows the last colon is a port only when it looks like one.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') && (!name.contains(':') || name.ends_with(']')) => {
            (name, Some(port))
        }
        _ => (host, None),
    }
}

/// A host in a policy. Without a port it means the host at any port, as a port in `Host` is the caller's word only.
#[derive(Debug)]
pub(crate) struct HostPattern {
    name: Text,
    port: Option<Box<str>>,
}

impl HostPattern {
    /// Reads `example.com`, `*.example.com`, `example.*`, `example.com:8080`, `example.com:*`.
    pub(crate) fn parse(value: &str) -> Self {
        let (name, port) = match split_port(value) {
            (name, Some(port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit() || b == b'*') => {
                (name, Some(port).filter(|port| *port != "*" && !port.is_empty()))
            }
            _ => (value, None),
        };
        let name = match Text::parse(name) {
            // A trailing dot in front of a wildcard is the label's own dot.
            prefix @ Text::Prefix(_) => prefix,
            other => other.map(|text| text.trim_end_matches('.').to_owned()),
        };
        Self { name, port: port.map(Into::into) }
    }

    /// What the name must be.
    pub(crate) fn name(&self) -> &Text {
        &self.name
    }

    /// The port, when it says one.
    pub(crate) fn port(&self) -> Option<&str> {
        self.port.as_deref()
    }

    pub(super) fn matches(&self, host: &Host) -> bool {
        self.name.matches_ignoring_case(host.name) && self.port.as_deref().is_none_or(|port| host.port == Some(port))
    }
}
