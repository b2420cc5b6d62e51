//! A certificate authority: a key, its certificate, and what it signs.
use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{digest, rand};
use identity::BACKDATE;
use model::id::{SpiffeId, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

use crate::request::{RequestError, public_key};

/// Most names in one server certificate.
const SERVER_NAMES_MAX: usize = 100;

/// A certificate authority of one trust domain, with its key. Not `Clone`, not `Debug`: the key exists once and is zeroed
/// on drop.
pub struct Authority {
    issuer: Issuer<'static, AuthorityKey>,
    // Invariant: its public key is that of `issuer`.
    certificate: CertificateDer<'static>,
    // The issuers of `certificate`, root last; empty for a root.
    issuers: Vec<CertificateDer<'static>>,
    // What follows a leaf: `certificate` and `issuers` without the root, which the peer must have already.
    intermediates: Vec<CertificateDer<'static>>,
    not_after: OffsetDateTime,
    path_length: Option<u32>,
}

/// What was signed.
#[derive(Clone)]
pub struct Issued {
    /// Leaf first, then intermediates; no root.
    pub chain: Vec<CertificateDer<'static>>,
    /// First moment of validity: a minute before the signing.
    pub not_before: SystemTime,
    /// Last moment of validity: never later than the issuer's.
    pub not_after: SystemTime,
    /// 128 random bits.
    pub serial: [u8; 16],
}

/// An authority as it is kept. The caller writes the key with mode 0600.
pub struct AuthorityPem {
    /// Its certificate, then those of its issuers.
    pub chain: String,
    /// Its private key, PKCS#8; zeroed on drop.
    pub key: Zeroizing<String>,
}

/// Why an authority cannot be made, read, or does not sign.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The signing request is refused.
    #[error("signing request refused")]
    Request(#[source] RequestError),
    /// The authority itself is at its end.
    #[error("the signing certificate has expired")]
    Expired,
    /// Nothing valid could be signed.
    #[error("a certificate must live longer than nothing")]
    NoLife,
    /// `pathLenConstraint` is 0.
    #[error("this authority may sign workloads only, not further authorities")]
    PathLength,
    /// A host that cannot stand in a certificate.
    #[error("`{0}` is not a host name or IP address")]
    ServerName(String),
    /// None, or more than a certificate takes.
    #[error("a server certificate takes 1 to {SERVER_NAMES_MAX} names, not {0}")]
    ServerNameCount(usize),
    /// The random generator failed.
    #[error("no random bytes")]
    Random,
    /// The time is outside what a certificate can say.
    #[error("the time cannot be written in a certificate")]
    Time,
    /// Unreadable PEM.
    #[error("kept authority is not valid PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// What was kept is not an authority.
    #[error("kept certificate {0}")]
    Kept(&'static str),
    /// Key generation or signing failed.
    #[error("cannot sign")]
    Sign(#[source] rcgen::Error),
}

impl Authority {
    /// A new self-signed root for `domain` with a fresh P-256 key, valid from a minute before `now` for `life`; below it
    /// one level of intermediates.
    pub fn generate_root(domain: &TrustDomain, life: Duration, now: SystemTime) -> Result<Self, AuthorityError> {
        let key = AuthorityKey::generate()?;
        let mut params = authority_params(domain, "root", BasicConstraints::Constrained(1))?;
        (params.not_before, params.not_after) = validity(life, now, None)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial()?));
        let certificate = params.self_signed(&key).map_err(AuthorityError::Sign)?;
        Self::assemble(certificate.into(), Vec::new(), key)
    }

    /// A new intermediate below this root, with a fresh P-256 key; it signs workloads only.
    pub fn sign_intermediate(
        &self,
        domain: &TrustDomain,
        life: Duration,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        if self.path_length == Some(0) {
            return Err(AuthorityError::PathLength);
        }
        let key = AuthorityKey::generate()?;
        let mut params = authority_params(domain, "intermediate", BasicConstraints::Constrained(0))?;
        (params.not_before, params.not_after) = validity(life, now, Some(self.not_after))?;
        params.serial_number = Some(SerialNumber::from_slice(&serial()?));
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(AuthorityError::Sign)?;
        Self::assemble(certificate.into(), self.chain(), key)
    }

    /// The X509-SVID of `id` for the key of a PKCS#10 request (DER), valid from a minute before `now` for `ttl` from it.
    /// The request must be signed by its own P-256 key; whatever else it asks for is ignored.
    pub fn sign_svid(
        &self,
        csr_der: &[u8],
        id: &SpiffeId,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Issued, AuthorityError> {
        let mut params = leaf_params();
        let uri = id.as_str().try_into().map_err(AuthorityError::Sign)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign_leaf(csr_der, params, ttl, now)
    }

    /// A server certificate for a gateway's `hosts` (names, `*.` wildcards, IP addresses). It has no URI name and no client
    /// authentication, so it can never pass for a workload.
    pub fn sign_server(
        &self,
        csr_der: &[u8],
        hosts: &[&str],
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Issued, AuthorityError> {
        if !(1..=SERVER_NAMES_MAX).contains(&hosts.len()) {
            return Err(AuthorityError::ServerNameCount(hosts.len()));
        }
        let mut params = leaf_params();
        params.subject_alt_names = hosts.iter().map(|host| server_name(host)).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign_leaf(csr_der, params, ttl, now)
    }

    /// The authority's own certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificates of the authority and its issuers, root last, DER.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        std::iter::once(&self.certificate).chain(&self.issuers).cloned().collect()
    }

    /// SHA-256 of the certificate's DER: what a join token pins when this is the root.
    pub fn sha256(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, self.certificate()).as_ref());
        out
    }

    /// The end of the authority's own certificate.
    pub fn not_after(&self) -> SystemTime {
        self.not_after.into()
    }

    /// The authority as it is kept.
    pub fn to_pem(&self) -> AuthorityPem {
        AuthorityPem {
            chain: identity::certificates_to_pem(&self.chain()),
            key: Zeroizing::new(self.issuer.key().0.serialize_pem()),
        }
    }

    /// Reads an authority that was kept: its certificate first, then its issuers, and its PKCS#8 key. Errors when the
    /// certificate is not an authority's or the key is not its own.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, AuthorityError> {
        let mut certificates = CertificateDer::pem_slice_iter(chain.as_bytes());
        let own = certificates.next().ok_or(AuthorityError::Kept("is missing"))?.map_err(AuthorityError::Pem)?;
        let issuers = certificates.collect::<Result<_, _>>().map_err(AuthorityError::Pem)?;
        let mut der = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).map_err(AuthorityError::Pem)?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).map_err(AuthorityError::Sign);
        der.zeroize();
        Self::assemble(own, issuers, AuthorityKey(key?))
    }

    fn assemble(
        certificate: CertificateDer<'static>,
        issuers: Vec<CertificateDer<'static>>,
        key: AuthorityKey,
    ) -> Result<Self, AuthorityError> {
        let parsed = parse(&certificate)?;
        let basic = parsed.basic_constraints().ok().flatten().filter(|basic| basic.value.ca);
        let path_length = basic.ok_or(AuthorityError::Kept("is not an authority's"))?.value.path_len_constraint;
        let usage = parsed.key_usage().ok().flatten();
        if !usage.is_some_and(|usage| usage.value.key_cert_sign()) {
            return Err(AuthorityError::Kept("may not sign certificates"));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::Kept("belongs to another key"));
        }
        let not_after = parsed.validity().not_after.to_datetime();
        let mut intermediates = Vec::new();
        for below_root in std::iter::once(&certificate).chain(&issuers) {
            let parsed = parse(below_root)?;
            if parsed.subject().as_raw() != parsed.issuer().as_raw() {
                intermediates.push(below_root.clone());
            }
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(AuthorityError::Sign)?;
        Ok(Self { issuer, certificate, issuers, intermediates, not_after, path_length })
    }

    fn sign_leaf(
        &self,
        csr_der: &[u8],
        mut params: CertificateParams,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Issued, AuthorityError> {
        let key = public_key(csr_der).map_err(AuthorityError::Request)?;
        (params.not_before, params.not_after) = validity(ttl, now, Some(self.not_after))?;
        let serial = serial()?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let (not_before, not_after) = (params.not_before.into(), params.not_after.into());
        let leaf = params.signed_by(&key, &self.issuer).map_err(AuthorityError::Sign)?;
        let chain = std::iter::once(leaf.into()).chain(self.intermediates.iter().cloned()).collect();
        Ok(Issued { chain, not_before, not_after, serial })
    }
}

/// The key inside the authority.
struct AuthorityKey(KeyPair);

impl AuthorityKey {
    fn generate() -> Result<Self, AuthorityError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(AuthorityError::Sign)
    }
}

impl Drop for AuthorityKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PublicKeyData for AuthorityKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for AuthorityKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

fn authority_params(
    domain: &TrustDomain,
    level: &str,
    constraints: BasicConstraints,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Ward");
    // RFC 5280 allows 64 characters; the tail keeps the subjects of two generations apart.
    let tag: String = serial()?.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let shown: String = domain.as_str().chars().take(40).collect();
    params.distinguished_name.push(DnType::CommonName, format!("{shown} {level} {tag}"));
    let uri = format!("spiffe://{domain}").try_into().map_err(AuthorityError::Sign)?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    // With an empty subject the alternative names become critical (RFC 5280 §4.2.1.6).
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn validity(
    life: Duration,
    now: SystemTime,
    issuer_end: Option<OffsetDateTime>,
) -> Result<(OffsetDateTime, OffsetDateTime), AuthorityError> {
    if life < Duration::from_secs(1) {
        return Err(AuthorityError::NoLife);
    }
    let start = OffsetDateTime::from(now.checked_sub(BACKDATE).ok_or(AuthorityError::Time)?);
    let end = OffsetDateTime::from(now.checked_add(life).ok_or(AuthorityError::Time)?);
    let end = issuer_end.map_or(end, |issuer_end| end.min(issuer_end));
    let now = OffsetDateTime::from(now);
    if end <= now {
        return Err(AuthorityError::Expired);
    }
    Ok((start, end))
}

fn serial() -> Result<[u8; 16], AuthorityError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| AuthorityError::Random)?;
    Ok(bytes)
}

fn server_name(host: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let bad = || AuthorityError::ServerName(host.to_owned());
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !name.split('.').all(label) {
        return Err(bad());
    }
    host.to_ascii_lowercase().try_into().map(SanType::DnsName).map_err(|_| bad())
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, AuthorityError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(AuthorityError::Kept("is not valid DER")),
    }
}

#[cfg(test)]
mod tests;
