//! The roots of one trust domain. Bundles of different domains are never merged.
use std::sync::Arc;

use model::id::TrustDomain;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::anchor_from_trusted_cert;

use crate::svid::{CHAIN_LENGTH_MAX, SvidError, parse, pem_certificates};

/// Most roots a bundle may have; during a rotation there are two. A control plane sends them all behind its leaf and its
/// intermediate, and that chain must stay within what a peer reads.
const ROOTS_MAX: usize = CHAIN_LENGTH_MAX - 2;

/// The roots of one trust domain. Cheap to clone.
#[derive(Clone)]
pub struct Bundle {
    /// The only domain these roots speak for.
    pub trust_domain: TrustDomain,
    /// DER.
    pub roots: Arc<[CertificateDer<'static>]>,
    // Invariant: one for each root, in the same order.
    pub(crate) anchors: Arc<[Anchor]>,
}

/// A root as path validation wants it, with its own validity, which RFC 5280 §6.1 leaves to us.
pub(crate) struct Anchor {
    pub(crate) trust: TrustAnchor<'static>,
    not_before: i64,
    not_after: i64,
}

/// Why certificates are not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A bundle without roots trusts nobody and is always a mistake.
    #[error("the bundle of `{0}` has no roots")]
    Empty(TrustDomain),
    /// Too many.
    #[error("the bundle has {count} roots, at most {ROOTS_MAX} are allowed")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// One of them cannot be read.
    #[error("root {index} of the bundle cannot be read")]
    Root {
        /// Position, from 0.
        index: usize,
        /// Why.
        #[source]
        cause: SvidError,
    },
    /// One of them may not sign.
    #[error("root {index} of the bundle is not a certificate authority")]
    NotAuthority {
        /// Position, from 0.
        index: usize,
    },
    /// Unreadable PEM.
    #[error("the bundle is not valid PEM")]
    Pem(#[source] SvidError),
}

impl Bundle {
    /// One or more certificates, PEM.
    pub fn from_pem(trust_domain: TrustDomain, pem: &str) -> Result<Self, BundleError> {
        let roots = pem_certificates(pem).map_err(BundleError::Pem)?;
        Self::from_der(trust_domain, roots)
    }

    /// One to six certificates of authorities, DER.
    pub fn from_der(trust_domain: TrustDomain, roots: Vec<CertificateDer<'static>>) -> Result<Self, BundleError> {
        if roots.is_empty() {
            return Err(BundleError::Empty(trust_domain));
        }
        if roots.len() > ROOTS_MAX {
            return Err(BundleError::TooMany { count: roots.len() });
        }
        let anchors =
            roots.iter().enumerate().map(|(index, root)| Anchor::of(index, root)).collect::<Result<_, _>>()?;
        Ok(Self { trust_domain, roots: roots.into(), anchors })
    }
}

impl Anchor {
    pub(crate) fn of(index: usize, root: &CertificateDer<'_>) -> Result<Self, BundleError> {
        let certificate = parse(root).map_err(|cause| BundleError::Root { index, cause })?;
        if !certificate.is_ca() {
            return Err(BundleError::NotAuthority { index });
        }
        let trust = anchor_from_trusted_cert(root)
            .map_err(|cause| BundleError::Root { index, cause: SvidError::Untrusted(cause) })?
            .to_owned();
        let validity = certificate.validity();
        Ok(Self { trust, not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
    }

    pub(crate) fn valid_at(&self, now: UnixTime) -> bool {
        i64::try_from(now.as_secs()).is_ok_and(|now| self.not_before <= now && now <= self.not_after)
    }
}

#[cfg(test)]
mod tests;
