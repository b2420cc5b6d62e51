//! An X509-SVID: what makes a certificate one (the leaf rules), and our own with its key.
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use model::id::{IdError, SpiffeId, TrustDomain};
use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{
    extensions::{GeneralName, ParsedExtension},
    oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME,
    prelude::{FromDer, X509Certificate},
};
use zeroize::{Zeroize, Zeroizing};

/// Longest chain that is read: a leaf, intermediates, and roots sent along with them.
pub(crate) const CHAIN_LENGTH_MAX: usize = 8;

/// How far the start of a certificate that Ward signs lies before the moment of signing, for clocks that run behind.
pub const BACKDATE: Duration = Duration::from_secs(60);

/// A private key. It has neither `Debug` nor `Serialize`, and its bytes are zeroed on drop.
pub struct PrivateKey(PrivateKeyDer<'static>);

impl PrivateKey {
    /// Takes the key over.
    pub fn new(key: PrivateKeyDer<'static>) -> Self {
        Self(key)
    }

    /// A PKCS#8 key, DER. The bytes are moved, not copied.
    pub fn from_pkcs8(der: Vec<u8>) -> Self {
        Self(PrivatePkcs8KeyDer::from(der).into())
    }

    /// The first private key of a PEM text (PKCS#8, SEC 1 or PKCS#1).
    pub fn from_pem(pem: &str) -> Result<Self, SvidError> {
        PrivateKeyDer::from_pem_slice(pem.as_bytes()).map(Self).map_err(SvidError::Pem)
    }

    /// The key as PEM, for keeping it; zeroed on drop. The caller writes it with mode 0600.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let label = match &self.0 {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        Zeroizing::new(pem(label, self.0.secret_der()))
    }

    /// The key, for whoever must sign with it or keep it. Copies made of it are the caller's to zero.
    pub fn der(&self) -> &PrivateKeyDer<'static> {
        &self.0
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Our own identity document and its key. Cheap to share in an `Arc`; the key exists once.
pub struct Svid {
    /// Leaf first, then intermediates; no root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKey,
    /// Who the leaf says we are.
    pub id: SpiffeId,
    /// First moment of validity.
    pub not_before: SystemTime,
    /// Last moment of validity; from then on nobody may accept it.
    pub not_after: SystemTime,
    // Invariant: `chain` and `key`, parsed, and known to belong together.
    pub(crate) certified: Arc<CertifiedKey>,
}

impl Svid {
    /// Reads a chain and its key, PEM. Errors as [`Svid::from_der`].
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, SvidError> {
        let chain = pem_certificates(cert_pem)?;
        Self::from_der(chain, PrivateKey::from_pem(key_pem)?)
    }

    /// A chain (leaf first) and the leaf's key. The leaf must keep the SVID rules and the key must be its own; who signed
    /// the chain and whether it is valid now is for the peer to judge.
    pub fn from_der(chain: Vec<CertificateDer<'static>>, key: PrivateKey) -> Result<Self, SvidError> {
        let leaf = Leaf::of(&chain)?;
        let signer = any_supported_type(key.der()).map_err(SvidError::Key)?;
        let certified = CertifiedKey::new(chain.clone(), signer);
        certified.keys_match().map_err(SvidError::KeyMismatch)?;
        Ok(Self {
            id: leaf.id,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            chain,
            key,
            certified: Arc::new(certified),
        })
    }

    /// The moment to renew: half of the life after the signing, as every SPIFFE agent does. Certificates begin
    /// [`BACKDATE`] before they are signed; with a short life that must not count.
    pub fn half_life(&self) -> SystemTime {
        let signed = self.not_before + BACKDATE;
        let left = self.not_after.duration_since(signed).unwrap_or_default();
        signed.min(self.not_after) + left / 2
    }
}

/// Why a certificate is not the SVID that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SvidError {
    /// Nothing to read.
    #[error("no certificate was presented")]
    Missing,
    /// More certificates than anybody needs.
    #[error("{count} certificates were presented, at most {CHAIN_LENGTH_MAX} are read")]
    ChainTooLong {
        /// How many.
        count: usize,
    },
    /// Unreadable.
    #[error("certificate is not valid DER")]
    Der(#[source] x509_parser::error::X509Error),
    /// Bytes after the certificate.
    #[error("certificate is followed by {count} further bytes")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// An extension that cannot be read may say anything.
    #[error("certificate has an unreadable extension")]
    Extension,
    /// Unreadable PEM.
    #[error("not valid PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// X509-SVID §2: exactly one.
    #[error("certificate has {count} URI names, expected exactly 1")]
    UriNameCount {
        /// How many.
        count: usize,
    },
    /// RFC 5280 §4.2.1.6.
    #[error("certificate has a malformed subject alternative name")]
    MalformedName,
    /// The URI name is not a SPIFFE ID.
    #[error("the URI name is not a SPIFFE ID")]
    NotSpiffe(#[source] IdError),
    /// X509-SVID §4.1.
    #[error("certificate of a certificate authority presented as a workload's")]
    IsAuthority,
    /// X509-SVID §4.3.
    #[error("key usage {0}")]
    KeyUsage(&'static str),
    /// X509-SVID §4.4.
    #[error("extended key usage is present without both server and client authentication")]
    ExtendedKeyUsage,
    /// The certificate names another trust domain than the bundle it is checked against.
    #[error("`{id}` is outside trust domain `{domain}`")]
    TrustDomain {
        /// Who the peer says it is.
        id: SpiffeId,
        /// The only domain the bundle speaks for.
        domain: TrustDomain,
    },
    /// A valid peer, but not the one that was called.
    #[error("peer is `{actual}`, expected `{expected}`")]
    WrongPeer {
        /// Who it is.
        actual: SpiffeId,
        /// Who it should be.
        expected: String,
    },
    /// RFC 5280 §6: no path to a root of the bundle.
    #[error("no valid path to a trusted root")]
    Untrusted(#[source] webpki::Error),
    /// The only path leads to a root that is no longer valid.
    #[error("the trusted root has expired or is not valid yet")]
    RootValidity,
    /// Too old.
    #[error("certificate has expired")]
    Expired,
    /// Too young.
    #[error("certificate is not valid yet")]
    NotYetValid,
    /// The key cannot be used.
    #[error("private key cannot be used")]
    Key(#[source] rustls::Error),
    /// The key belongs to another certificate.
    #[error("private key does not belong to the certificate")]
    KeyMismatch(#[source] rustls::Error),
}

/// The SPIFFE ID of a peer's chain, leaf first, after the leaf rules (X509-SVID §§2, 4): exactly one URI name and that a
/// SPIFFE ID with a path, not an authority, key usage with digitalSignature and without keyCertSign and cRLSign, extended
/// key usage absent or both server and client. The signature path is *not* checked here: the handshake did that.
pub fn peer_id(chain: &[CertificateDer<'_>]) -> Result<SpiffeId, SvidError> {
    Leaf::of(chain).map(|leaf| leaf.id)
}

/// Who a peer is and until when: [`peer_id`] and [`peer_not_after`] in one reading of the leaf.
pub fn peer(chain: &[CertificateDer<'_>]) -> Result<(SpiffeId, SystemTime), SvidError> {
    Leaf::of(chain).map(|leaf| (leaf.id, leaf.not_after))
}

/// The last moment of validity of a peer's leaf, after the same rules: whoever keeps a connection ends it then.
pub fn peer_not_after(chain: &[CertificateDer<'_>]) -> Result<SystemTime, SvidError> {
    Leaf::of(chain).map(|leaf| leaf.not_after)
}

/// What a leaf says, after the leaf rules.
pub(crate) struct Leaf {
    pub(crate) id: SpiffeId,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Leaf {
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Result<Self, SvidError> {
        if chain.len() > CHAIN_LENGTH_MAX {
            return Err(SvidError::ChainTooLong { count: chain.len() });
        }
        Self::parse(chain.first().ok_or(SvidError::Missing)?)
    }

    pub(crate) fn parse(der: &CertificateDer<'_>) -> Result<Self, SvidError> {
        let certificate = parse(der)?;
        // An extension that appears twice, or cannot be read, means different things to different readers.
        certificate.extensions_map().map_err(SvidError::Der)?;
        if certificate.extensions().iter().any(|e| matches!(e.parsed_extension(), ParsedExtension::ParseError { .. })) {
            return Err(SvidError::Extension);
        }
        let basic = certificate.basic_constraints().map_err(SvidError::Der)?;
        if basic.is_some_and(|basic| basic.value.ca) {
            return Err(SvidError::IsAuthority);
        }
        check_usages(&certificate)?;
        let id = only_uri(&certificate)?;
        let validity = certificate.validity();
        Ok(Self {
            id,
            not_before: system_time(validity.not_before.timestamp()),
            not_after: system_time(validity.not_after.timestamp()),
        })
    }
}

pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, SvidError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| {
        SvidError::Der(match error {
            x509_parser::nom::Err::Error(e) | x509_parser::nom::Err::Failure(e) => e,
            x509_parser::nom::Err::Incomplete(_) => x509_parser::error::X509Error::InvalidCertificate,
        })
    })?;
    match rest.len() {
        0 => Ok(certificate),
        count => Err(SvidError::TrailingBytes { count }),
    }
}

fn check_usages(certificate: &X509Certificate<'_>) -> Result<(), SvidError> {
    let Some(usage) = certificate.key_usage().map_err(SvidError::Der)? else {
        return Err(SvidError::KeyUsage("is missing"));
    };
    if !usage.value.digital_signature() {
        return Err(SvidError::KeyUsage("lacks digitalSignature"));
    }
    if usage.value.key_cert_sign() || usage.value.crl_sign() {
        return Err(SvidError::KeyUsage("has keyCertSign or cRLSign"));
    }
    match certificate.extended_key_usage().map_err(SvidError::Der)? {
        Some(extended) if !(extended.value.server_auth && extended.value.client_auth) => {
            Err(SvidError::ExtendedKeyUsage)
        }
        _ => Ok(()),
    }
}

fn only_uri(certificate: &X509Certificate<'_>) -> Result<SpiffeId, SvidError> {
    let names = certificate.get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME).map_err(SvidError::Der)?;
    let Some(names) = names else { return Err(SvidError::UriNameCount { count: 0 }) };
    let ParsedExtension::SubjectAlternativeName(names) = names.parsed_extension() else {
        return Err(SvidError::MalformedName);
    };
    let mut uris = Vec::new();
    for name in &names.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::Invalid(..) => return Err(SvidError::MalformedName),
            _ => {}
        }
    }
    match uris.as_slice() {
        // A NUL, a percent sign or anything else that two readers could cut differently is outside SPIFFE's alphabet.
        [uri] => SpiffeId::try_from((*uri).to_owned()).map_err(SvidError::NotSpiffe),
        _ => Err(SvidError::UriNameCount { count: uris.len() }),
    }
}

/// Certificates as PEM, one after another.
pub fn certificates_to_pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|der| pem("CERTIFICATE", der)).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(der));
    // Reserved whole, so that growing leaves no copy of a key behind.
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    text.extend(["-----BEGIN ", label, "-----\n"]);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.extend([line, "\n"]);
        rest = tail;
    }
    text.extend(["-----END ", label, "-----\n"]);
    text
}

pub(crate) fn pem_certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, SvidError> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(SvidError::Pem)?;
    if certificates.is_empty() { Err(SvidError::Missing) } else { Ok(certificates) }
}

pub(crate) fn system_time(unix_seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(unix_seconds.unsigned_abs());
    let moment = if unix_seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    moment.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
