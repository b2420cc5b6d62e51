//! Certificate signing requests: a fresh key and the proof that we hold it. The names are the signer's business.
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::svid::PrivateKey;

/// Key generation or signing failed inside the crypto provider.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate signing request")]
pub struct CsrError(#[source] rcgen::Error);

/// A fresh P-256 key and a PKCS#10 request for it, DER, without any name: Ward's signers decide who the holder is.
pub fn new() -> Result<(PrivateKey, Vec<u8>), CsrError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CsrError)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(CsrError)?;
    let der = request.der().to_vec();
    Ok((PrivateKey::from_pkcs8(key.serialize_der()), der))
}
