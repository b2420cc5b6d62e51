//! `ports:` in its forms: `80`, `8080:80`, `127.0.0.1:8080:80`, `[::1]:80:80`, `8000-8010:80-90/udp`, and the long one.
use std::net::IpAddr;

use model::tree::Tree;

use super::environment::interpolate;

/// Most ports of one range.
const RANGE_MAX: u16 = 16;

/// A port that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    /// Port of the container.
    pub(super) target: u16,
    /// Port of the host; none where docker chooses.
    pub(super) host: Option<u16>,
    /// Whether only the host itself can connect.
    pub(super) loopback: bool,
    pub(super) udp: bool,
}

/// What an entry of `ports:` publishes; none where it cannot be read.
pub(super) fn published(entry: &Tree) -> Option<Vec<Published>> {
    if let Some(text) = entry.text() {
        return short(&interpolate(text));
    }
    let text = |key| entry.text_at(&[key]).map(interpolate);
    let target: u16 = text("target")?.trim().parse().ok()?;
    let host = text("published").and_then(|t| t.split('-').next()?.trim().parse().ok());
    let loopback = text("host_ip").is_some_and(|ip| is_loopback(&ip));
    Some(vec![Published { target, host, loopback, udp: text("protocol").is_some_and(|p| p == "udp") }])
}

fn short(text: &str) -> Option<Vec<Published>> {
    let (text, protocol) = text.trim().split_once('/').unwrap_or((text.trim(), "tcp"));
    let (front, target) = text.rsplit_once(':').map_or((None, text), |(front, target)| (Some(front), target));
    let (address, host) = match front {
        None => (None, None),
        Some(front) => match front.strip_prefix('[').and_then(|f| f.split_once(']')) {
            Some((address, host)) => (Some(address), host.strip_prefix(':')),
            None => match front.rsplit_once(':') {
                Some((address, host)) => (Some(address), Some(host)),
                None if front.contains('.') => (Some(front), None),
                None => (None, Some(front)),
            },
        },
    };
    let loopback = address.is_some_and(is_loopback);
    let targets = range(target)?;
    let hosts = host.and_then(range).unwrap_or_default();
    let one = |(at, target): (usize, u16)| Published {
        target,
        host: hosts.get(at).or(hosts.first()).copied(),
        loopback,
        udp: protocol == "udp",
    };
    Some(targets.into_iter().enumerate().map(one).collect())
}

fn is_loopback(address: &str) -> bool {
    address == "localhost" || address.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `80`, `80-90`; a range too long to be listed is its beginning.
fn range(text: &str) -> Option<Vec<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    if first == 0 || last < first {
        return None;
    }
    Some((first..=last.min(first.saturating_add(RANGE_MAX - 1))).collect())
}

/// What a port is known to speak.
pub(super) fn protocol(port: u16) -> &'static str {
    match port {
        443 | 8443 | 9443 => "tls",
        5432 => "postgres",
        80
        | 81
        | 591
        | 1337
        | 2368
        | 3000..=3010
        | 4000
        | 4200
        | 5000
        | 5001
        | 5173
        | 5601
        | 7000
        | 8000..=8010
        | 8080..=8099
        | 8123
        | 8200
        | 8500
        | 8501
        | 8888
        | 9000
        | 9001
        | 9090..=9091
        | 9200
        | 15672
        | 16686 => "http",
        _ => "tcp",
    }
}
