//! Reads a certificate signing request: the key and the proof of its possession, nothing else.
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::SubjectPublicKeyInfo;
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256},
    prelude::FromDer,
};

/// Longest request that is read, bytes. Ward's own are about 200.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// An uncompressed P-256 point: 4, x, y.
const POINT_BYTES: usize = 65;

/// Why a request is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too long to be one of ours.
    #[error("signing request has {0} bytes, at most {REQUEST_BYTES_MAX} are read")]
    TooLong(usize),
    /// Unreadable.
    #[error("signing request is not valid DER (PKCS#10)")]
    Der,
    /// Another key than P-256, or a point that is not written in full.
    #[error("the key of a signing request must be P-256, uncompressed")]
    KeyType,
    /// Another algorithm than ECDSA with SHA-256.
    #[error("a signing request must be signed with ECDSA and SHA-256")]
    Algorithm,
    /// The sender does not hold the key.
    #[error("the signature of the signing request is wrong")]
    Signature,
}

/// The public key of a PKCS#10 request, after its signature has proven that the sender holds the private one.
pub(crate) fn public_key(der: &[u8]) -> Result<SubjectPublicKeyInfo, RequestError> {
    if der.len() > REQUEST_BYTES_MAX {
        return Err(RequestError::TooLong(der.len()));
    }
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| RequestError::Der)?;
    if !rest.is_empty() {
        return Err(RequestError::Der);
    }
    let info = &request.certification_request_info;
    let key = &info.subject_pki;
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let point: &[u8] = &key.subject_public_key.data;
    if key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY
        || curve != Some(OID_EC_P256)
        || key.subject_public_key.unused_bits != 0
        || point.len() != POINT_BYTES
    {
        return Err(RequestError::KeyType);
    }
    if request.signature_algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA256 {
        return Err(RequestError::Algorithm);
    }
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
        .verify(info.raw, &request.signature_value.data)
        .map_err(|_| RequestError::Signature)?;
    SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| RequestError::KeyType)
}
