//! Tokens in the model: who issues them, where the keys are that prove it, and which flows need one.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Auth, Flow, Model, Name, NodeKind, istio::JwtHeader};

/// An entry of `mesh.issuers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// `aud` of a token has one of these; empty is any.
    pub audiences: Vec<String>,
    /// Headers that may carry the token; without any place, `Authorization: Bearer` and the parameter `access_token`.
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters that may carry the token.
    pub from_params: Vec<String>,
    /// Cookies that may carry the token.
    pub from_cookies: Vec<String>,
    /// Whether what is behind the proxy gets the token too.
    pub forward: bool,
    /// Whether the address of the keys may lie in a private network.
    pub private: bool,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A JSON Web Key Set (RFC 7517), written out.
    Inline(String),
    /// The address of one.
    Address(String),
}

/// What `via.jwt` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenNeed {
    /// `none`: no token, whatever the party proves itself with.
    None,
    /// A token.
    Asked {
        /// Its issuer, by its name in `mesh.issuers`; the mesh's only one when not named.
        issuer: Option<String>,
        /// What it must say.
        claims: Vec<Claim>,
    },
}

/// A claim that a token must have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Its name, after the names of the claims around it.
    pub path: Vec<String>,
    /// Any of these, in the forms of policies: exact, `prefix*`, `*suffix`, `*`.
    pub values: Vec<String>,
}

/// The token that a flow needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// Whose; `None` when the mesh names no issuer, or several and the flow none of them: then no token is good.
    pub issuer: Option<(&'a Name, &'a Issuer)>,
    /// What it must say.
    pub claims: &'a [Claim],
}

impl Model {
    /// The token that a flow needs: what `via.jwt` says, else what a party proves itself with.
    pub fn token_of<'a>(&'a self, flow: &'a Flow) -> Option<Token<'a>> {
        let by_party = self
            .nodes
            .get(&flow.from)
            .is_some_and(|from| from.kind == NodeKind::Party && matches!(from.auth, Some(Auth::Jwt | Auth::Oidc)));
        let (named, claims) = match &flow.via.jwt {
            Some(TokenNeed::None) => return None,
            Some(TokenNeed::Asked { issuer, claims }) => (issuer.as_deref(), claims.as_slice()),
            None if by_party => (None, &[][..]),
            None => return None,
        };
        let mut all = self.mesh.issuers.iter();
        let issuer = match (named, all.next(), all.next()) {
            (Some(name), _, _) => self.mesh.issuers.get_key_value(name),
            (None, only, None) => only,
            (None, _, Some(_)) => None,
        };
        Some(Token { issuer, claims })
    }
}

/// The parts of an address of keys that decide whether it may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAddress {
    /// `https`, not `http`.
    pub tls: bool,
    /// Host without brackets, in lower case.
    pub host: String,
    /// Port; 443 or 80 when not written.
    pub port: u16,
    /// Path and query, `/` at least.
    pub path: String,
}

/// Why a text is no address of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyAddressError {
    /// Neither `https://` nor `http://`.
    #[error("it begins neither with https:// nor with http://")]
    Scheme,
    /// No host, or a port that is none.
    #[error("it names no host")]
    Host,
    /// `user:password@`, which would end up in logs.
    #[error("it holds a user name or password")]
    User,
    /// A fragment, a blank or a control character.
    #[error("it holds a character that no address has")]
    Character,
    /// `http://` to anything but this machine.
    #[error("what comes over plain http can be exchanged on the way")]
    Plaintext,
}

impl KeyAddress {
    /// Reads `https://host[:port]/path`; `http://` only where nothing leaves the machine.
    ///
    /// # Errors
    /// It is no such address.
    pub fn parse(text: &str) -> Result<Self, KeyAddressError> {
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(KeyAddressError::Scheme),
        };
        if text.bytes().any(|b| !b.is_ascii_graphic() || matches!(b, b'#' | b'\\' | b'"' | b'<' | b'>')) {
            return Err(KeyAddressError::Character);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(KeyAddressError::User);
        }
        let bracketed = authority.strip_prefix('[').and_then(|inner| inner.split_once(']'));
        let (host, port) =
            bracketed.unwrap_or_else(|| authority.split_at(authority.find(':').unwrap_or(authority.len())));
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => Some(if tls { 443 } else { 80 }),
            Some(n) if n.bytes().all(|b| b.is_ascii_digit()) => n.parse::<u16>().ok().filter(|n| *n > 0),
            _ => None,
        };
        let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'));
        let v6 = bracketed.is_none() || host.parse::<Ipv6Addr>().is_ok();
        let Some(port) = port.filter(|_| named && v6 && !host.is_empty()) else { return Err(KeyAddressError::Host) };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let found = Self { tls, host: host.to_ascii_lowercase(), port, path };
        if tls || found.is_loopback() { Ok(found) } else { Err(KeyAddressError::Plaintext) }
    }

    /// Whether it says by itself that it is on this machine: no name service can make it anything else.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// The host, where it is an IP address.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// What an IP address is to somebody who fetches from the address in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Out in the internet.
    Public,
    /// This machine, or the network around it.
    Private,
    /// Never to be asked: link-local, where clouds keep the credentials of machines, multicast, and what is no address.
    Never,
}

impl Reach {
    /// The reach of an address. An IPv4 address inside an IPv6 address is that IPv4 address.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => of_v4(ip),
            IpAddr::V6(ip) => of_v6(ip),
        }
    }
}

fn of_v4(ip: Ipv4Addr) -> Reach {
    let [a, b, c, _] = ip.octets();
    if ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || a == 0 || a >= 240 {
        Reach::Never
    // Also the carriers' shared space (RFC 6598), benchmarks (RFC 2544) and what is set aside for protocols.
    } else if ip.is_loopback()
        || ip.is_private()
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || ip.is_documentation()
    {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn of_v6(ip: Ipv6Addr) -> Reach {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let inner = |high: u16, low: u16| {
        let ([p, q], [r, s]) = (high.to_be_bytes(), low.to_be_bytes());
        of_v4(Ipv4Addr::new(p, q, r, s))
    };
    match (a, b) {
        _ if ip.is_loopback() => Reach::Private,
        _ if ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() => Reach::Never,
        // Mapped and compatible IPv4, NAT64 (RFC 6052) and 6to4 (RFC 3056).
        (0, 0) if (c, d, e) == (0, 0, 0) && matches!(f, 0 | 0xffff) => inner(g, h),
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => inner(g, h),
        (0x2002, _) => inner(b, c),
        // The cloud's metadata over IPv6 is in here as well, so even a model that says `private` does not get there.
        (0xfd00, 0xec2) => Reach::Never,
        (0x2001, 0xdb8) => Reach::Private,
        _ if a & 0xe000 == 0x2000 => Reach::Public,
        _ => Reach::Private,
    }
}

#[cfg(test)]
mod tests;
