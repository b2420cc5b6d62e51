//! TLS configurations: mutual TLS 1.3 inside the mesh, server TLS at a gateway.
//!
//! Inside the mesh every handshake is a full one: no resumption, no tickets, no early data, so that a peer's right is
//! checked against the bundle of now (CVE-2022-21654 was a session kept after its validation settings had changed).
use std::sync::Arc;

use model::id::SpiffeId;
use rustls::{
    ClientConfig, ServerConfig, SupportedCipherSuite,
    client::Resumption,
    crypto::{
        CryptoProvider, SupportedKxGroup,
        aws_lc_rs::{self, cipher_suite, kx_group},
    },
    pki_types::CertificateDer,
    server::NoServerSessionStorage,
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::{DefaultTimeProvider, TimeProvider},
    version,
};
use serde::{Deserialize, Serialize};

use crate::{
    bundle::Bundle,
    svid::{PrivateKey, Svid, SvidError},
    verifier::{Expect, Verifier},
};

/// The service account of the control plane: `spiffe://<trust domain>/ns/<root namespace>/sa/ward-control`.
pub const CONTROL_PLANE_ACCOUNT: &str = "ward-control";

/// A TLS 1.3 cipher suite by its IANA name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CipherSuite {
    /// The default's first choice: the cheapest where the CPU has AES instructions.
    #[serde(rename = "TLS_AES_128_GCM_SHA256")]
    Aes128GcmSha256,
    /// 256-bit AES.
    #[serde(rename = "TLS_AES_256_GCM_SHA384")]
    Aes256GcmSha384,
    /// For CPUs without AES instructions.
    #[serde(rename = "TLS_CHACHA20_POLY1305_SHA256")]
    Chacha20Poly1305Sha256,
}

/// A key exchange group by its IANA name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Group {
    /// Hybrid with ML-KEM-768: safe against a later quantum computer.
    #[serde(rename = "X25519MLKEM768")]
    X25519MlKem768,
    /// Hybrid of P-256 with ML-KEM-768.
    #[serde(rename = "SecP256r1MLKEM768")]
    Secp256r1MlKem768,
    /// X25519.
    #[serde(rename = "x25519")]
    X25519,
    /// P-256.
    #[serde(rename = "secp256r1")]
    Secp256r1,
    /// P-384.
    #[serde(rename = "secp384r1")]
    Secp384r1,
}

impl CipherSuite {
    fn supported(self) -> SupportedCipherSuite {
        match self {
            Self::Aes128GcmSha256 => cipher_suite::TLS13_AES_128_GCM_SHA256,
            Self::Aes256GcmSha384 => cipher_suite::TLS13_AES_256_GCM_SHA384,
            Self::Chacha20Poly1305Sha256 => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        }
    }
}

impl Group {
    fn supported(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519MlKem768 => kx_group::X25519MLKEM768,
            Self::Secp256r1MlKem768 => kx_group::SECP256R1MLKEM768,
            Self::X25519 => kx_group::X25519,
            Self::Secp256r1 => kx_group::SECP256R1,
            Self::Secp384r1 => kx_group::SECP384R1,
        }
    }
}

const CIPHER_SUITES: [CipherSuite; 3] =
    [CipherSuite::Aes128GcmSha256, CipherSuite::Aes256GcmSha384, CipherSuite::Chacha20Poly1305Sha256];
const GROUPS: [Group; 4] = [Group::X25519MlKem768, Group::X25519, Group::Secp256r1, Group::Secp384r1];

/// Options of a server configuration. Empty lists are the defaults, most preferred first: AES-128-GCM, AES-256-GCM,
/// ChaCha20-Poly1305; X25519MLKEM768, X25519, P-256, P-384.
#[derive(Clone, Default)]
pub struct ServerOptions {
    /// Protocols offered by ALPN, most preferred first. Empty is no ALPN.
    pub alpn: Vec<Vec<u8>>,
    /// The only cipher suites.
    pub cipher_suites: Vec<CipherSuite>,
    /// The only key exchange groups.
    pub groups: Vec<Group>,
    /// Whose time certificates are judged by; `None` is the system's clock.
    pub time: Option<Arc<dyn TimeProvider>>,
}

/// Options of a client configuration; as [`ServerOptions`].
pub type ClientOptions = ServerOptions;

/// Why a configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The suites and groups do not go together.
    #[error("TLS settings do not go together")]
    Settings(#[source] rustls::Error),
    /// Our own SVID is of another trust domain than the bundle: nobody who is checked would accept it.
    #[error("own SVID does not belong to the bundle")]
    Svid(#[source] SvidError),
    /// The certificate and key of a gateway cannot be used.
    #[error("certificate and key cannot be used")]
    Certificate(#[source] rustls::Error),
    /// A gateway without a certificate.
    #[error("no certificate")]
    NoCertificate,
}

/// Mutual TLS 1.3 for a mesh port: any member of the bundle's trust domain with a valid SVID may connect, nobody else.
pub fn server_config(svid: &Svid, bundle: &Bundle, options: &ServerOptions) -> Result<Arc<ServerConfig>, TlsError> {
    mesh_server(svid.certified.clone(), svid, bundle, options, true)
}

/// As [`server_config`], but a client may come without a certificate (one it does present must be valid). Only for the
/// control plane, whose Join call authenticates by token. The roots are sent along, so that the joiner can find the one
/// whose hash its token carries.
pub fn server_config_optional_client(
    svid: &Svid,
    bundle: &Bundle,
    options: &ServerOptions,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut with_roots = CertifiedKey::clone(&svid.certified);
    with_roots.cert.extend(bundle.roots.iter().cloned());
    mesh_server(Arc::new(with_roots), svid, bundle, options, false)
}

/// Mutual TLS 1.3 towards one peer: its chain must be valid in the bundle and its SPIFFE ID must be `expected`.
pub fn client_config(
    svid: &Svid,
    bundle: &Bundle,
    expected: &SpiffeId,
    options: &ClientOptions,
) -> Result<Arc<ClientConfig>, TlsError> {
    same_domain(svid, bundle)?;
    mesh_client(Some(svid.certified.clone()), Expect::Exactly(bundle.clone(), expected.clone()), options)
}

/// As [`client_config`], presenting any chain and key at all: expired, of a foreign authority, of another trust domain.
/// For `ward verify`, which does what an attacker would.
pub fn client_config_presenting(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKey,
    bundle: &Bundle,
    expected: &SpiffeId,
    options: &ClientOptions,
) -> Result<Arc<ClientConfig>, TlsError> {
    let certified = certified(chain, key)?;
    mesh_client(Some(Arc::new(certified)), Expect::Exactly(bundle.clone(), expected.clone()), options)
}

/// As [`client_config`] without a certificate of our own: what a peer that has none would try (`ward verify`).
pub fn anonymous_client_config(
    bundle: &Bundle,
    expected: &SpiffeId,
    options: &ClientOptions,
) -> Result<Arc<ClientConfig>, TlsError> {
    mesh_client(None, Expect::Exactly(bundle.clone(), expected.clone()), options)
}

/// TLS 1.3 towards a control plane that is known only by the hash of its root (from a join token): among the certificates
/// it presents must be a root with that hash, its leaf must chain to that root and be the SVID of
/// `/ns/<any>/sa/ward-control`. No certificate of our own.
pub fn pinned_client_config(root_sha256: [u8; 32], options: &ClientOptions) -> Result<Arc<ClientConfig>, TlsError> {
    mesh_client(None, Expect::Account { root_sha256, account: CONTROL_PLANE_ACCOUNT }, options)
}

/// Server TLS 1.2 and 1.3 for a gateway's listener, any client. Sessions may be resumed: no client is authenticated here.
pub fn gateway_server_config(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKey,
    alpn: Vec<Vec<u8>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let certified = certified(chain, key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = alpn;
    Ok(Arc::new(config))
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &PrivateKey) -> Result<CertifiedKey, TlsError> {
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let signer = aws_lc_rs::sign::any_supported_type(key.der()).map_err(TlsError::Certificate)?;
    let certified = CertifiedKey::new(chain, signer);
    certified.keys_match().map_err(TlsError::Certificate)?;
    Ok(certified)
}

fn mesh_server(
    certified: Arc<CertifiedKey>,
    svid: &Svid,
    bundle: &Bundle,
    options: &ServerOptions,
    mandatory: bool,
) -> Result<Arc<ServerConfig>, TlsError> {
    same_domain(svid, bundle)?;
    let provider = options.provider();
    let verifier = Verifier {
        expect: Expect::Member(bundle.clone()),
        algorithms: provider.signature_verification_algorithms,
        mandatory,
    };
    let mut config = ServerConfig::builder_with_details(provider, options.time_provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(TlsError::Settings)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = options.alpn.clone();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn mesh_client(
    certified: Option<Arc<CertifiedKey>>,
    expect: Expect,
    options: &ClientOptions,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = options.provider();
    let verifier = Verifier { expect, algorithms: provider.signature_verification_algorithms, mandatory: true };
    let builder = ClientConfig::builder_with_details(provider, options.time_provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(TlsError::Settings)?
        .dangerous() // rustls's word for any verifier that is not its own
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match certified {
        Some(certified) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = options.alpn.clone();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

fn same_domain(svid: &Svid, bundle: &Bundle) -> Result<(), TlsError> {
    if svid.id.trust_domain() == bundle.trust_domain.as_str() {
        return Ok(());
    }
    let (id, domain) = (svid.id.clone(), bundle.trust_domain.clone());
    Err(TlsError::Svid(SvidError::TrustDomain { id, domain }))
}

impl ServerOptions {
    fn provider(&self) -> Arc<CryptoProvider> {
        let suites: &[CipherSuite] = if self.cipher_suites.is_empty() { &CIPHER_SUITES } else { &self.cipher_suites };
        let groups: &[Group] = if self.groups.is_empty() { &GROUPS } else { &self.groups };
        Arc::new(CryptoProvider {
            cipher_suites: suites.iter().map(|suite| suite.supported()).collect(),
            kx_groups: groups.iter().map(|group| group.supported()).collect(),
            ..aws_lc_rs::default_provider()
        })
    }

    fn time_provider(&self) -> Arc<dyn TimeProvider> {
        self.time.clone().unwrap_or_else(|| Arc::new(DefaultTimeProvider))
    }
}

#[cfg(test)]
mod tests;
