//! The certificate check of every handshake: RFC 5280 path to a root of one bundle, then the SVID leaf rules, then whose
//! it must be.
//!
//! One verifier for both sides, ours because `webpki` knows no SPIFFE ID and rejects chains with URI name constraints.
use std::sync::Arc;

use model::id::SpiffeId;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::{EndEntityCert, KeyUsage};

use crate::{
    bundle::{Anchor, Bundle},
    join_token::sha256,
    svid::{CHAIN_LENGTH_MAX, Leaf, SvidError},
};

/// Whom a peer must chain to, and who it must be.
pub(crate) enum Expect {
    /// Anybody of the bundle's trust domain.
    Member(Bundle),
    /// This one peer of the bundle's trust domain.
    Exactly(Bundle, SpiffeId),
    /// Whoever has this service account under the root with this hash: the joiner knows no more yet.
    Account { root_sha256: [u8; 32], account: &'static str },
}

pub(crate) struct Verifier {
    pub(crate) expect: Expect,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
    /// Only the control plane's port lets a client come without a certificate.
    pub(crate) mandatory: bool,
}

impl Verifier {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), SvidError> {
        if intermediates.len() >= CHAIN_LENGTH_MAX {
            return Err(SvidError::ChainTooLong { count: intermediates.len() + 1 });
        }
        let pinned;
        let anchors: &[Anchor] = match &self.expect {
            Expect::Member(bundle) | Expect::Exactly(bundle, _) => &bundle.anchors,
            Expect::Account { root_sha256, .. } => {
                pinned = pinned_root(intermediates, root_sha256)?;
                std::slice::from_ref(&pinned)
            }
        };
        self.path(end_entity, intermediates, anchors, usage, now)?;
        let id = Leaf::parse(end_entity)?.id;
        match &self.expect {
            Expect::Member(bundle) => in_domain(id, bundle),
            Expect::Exactly(bundle, expected) => {
                if id == *expected {
                    in_domain(id, bundle)
                } else {
                    Err(SvidError::WrongPeer { actual: id, expected: expected.to_string() })
                }
            }
            Expect::Account { account, .. } => match id.namespace_and_account() {
                Some((_, actual)) if actual == *account => Ok(()),
                _ => Err(SvidError::WrongPeer { actual: id, expected: format!("spiffe://*/ns/*/sa/{account}") }),
            },
        }
    }

    fn path(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        anchors: &[Anchor],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), SvidError> {
        let usable: Vec<_> = anchors.iter().filter(|anchor| anchor.valid_at(now)).map(|a| a.trust.clone()).collect();
        if usable.is_empty() {
            return Err(SvidError::RootValidity);
        }
        let leaf = EndEntityCert::try_from(end_entity).map_err(SvidError::Untrusted)?;
        leaf.verify_for_usage(self.algorithms.all, &usable, intermediates, now, usage, None, None).map(|_| ()).map_err(
            |error| match error {
                webpki::Error::CertExpired { .. } => SvidError::Expired,
                webpki::Error::CertNotValidYet { .. } => SvidError::NotYetValid,
                webpki::Error::CaUsedAsEndEntity => SvidError::IsAuthority,
                other => SvidError::Untrusted(other),
            },
        )
    }
}

fn in_domain(id: SpiffeId, bundle: &Bundle) -> Result<(), SvidError> {
    if id.trust_domain() == bundle.trust_domain.as_str() {
        Ok(())
    } else {
        Err(SvidError::TrustDomain { id, domain: bundle.trust_domain.clone() })
    }
}

fn pinned_root(presented: &[CertificateDer<'_>], root_sha256: &[u8; 32]) -> Result<Anchor, SvidError> {
    let root = presented
        .iter()
        .find(|certificate| sha256(certificate) == *root_sha256)
        .ok_or(SvidError::Untrusted(webpki::Error::UnknownIssuer))?;
    Anchor::of(0, root).map_err(|_| SvidError::Untrusted(webpki::Error::UnknownIssuer))
}

/// What is sent to the peer as an alert follows from the `CertificateError`; the reason itself stays here.
fn refuse(error: SvidError) -> Error {
    Error::InvalidCertificate(match error {
        SvidError::Expired => CertificateError::Expired,
        SvidError::NotYetValid => CertificateError::NotValidYet,
        SvidError::Untrusted(webpki::Error::UnknownIssuer) => CertificateError::UnknownIssuer,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

/// Why a handshake was refused, as a closed set: for metrics and logs, never for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// No certificate.
    NoCertificate,
    /// The certificate, or one above it, has expired.
    Expired,
    /// The certificate, or one above it, is not valid yet.
    NotYetValid,
    /// No path to a root of the bundle.
    Untrusted,
    /// The certificate is not an SVID.
    NotAnSvid,
    /// Valid under the bundle, but of another trust domain.
    WrongTrustDomain,
    /// A member of the trust domain, but not the expected one.
    WrongPeer,
    /// The peer refused us, or speaks a TLS we do not.
    Protocol,
}

impl RefusalCode {
    /// The code as metrics and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Untrusted => "untrusted",
            Self::NotAnSvid => "not-an-svid",
            Self::WrongTrustDomain => "wrong-trust-domain",
            Self::WrongPeer => "wrong-peer",
            Self::Protocol => "tls-protocol",
        }
    }
}

/// The code of a handshake error, and the full reason where our own rules gave it.
pub fn refusal(error: &Error) -> (RefusalCode, Option<&SvidError>) {
    match error {
        Error::NoCertificatesPresented => (RefusalCode::NoCertificate, None),
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            (RefusalCode::Expired, None)
        }
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            (RefusalCode::NotYetValid, None)
        }
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            let Some(reason) = other.0.downcast_ref::<SvidError>() else { return (RefusalCode::Untrusted, None) };
            let code = match reason {
                SvidError::TrustDomain { .. } => RefusalCode::WrongTrustDomain,
                SvidError::WrongPeer { .. } => RefusalCode::WrongPeer,
                SvidError::Untrusted(_) | SvidError::RootValidity => RefusalCode::Untrusted,
                _ => RefusalCode::NotAnSvid,
            };
            (code, Some(reason))
        }
        Error::InvalidCertificate(_) => (RefusalCode::Untrusted, None),
        _ => (RefusalCode::Protocol, None),
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("mandatory", &self.mandatory).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    // The name in the SNI routes; identity is the SPIFFE ID alone.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, KeyUsage::server_auth(), now)
            .map(|()| ServerCertVerified::assertion())
            .map_err(refuse)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    // Empty: a client has one SVID to offer, and a scanner learns nothing about our roots.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, KeyUsage::client_auth(), now)
            .map(|()| ClientCertVerified::assertion())
            .map_err(refuse)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
