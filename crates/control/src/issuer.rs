//! The mesh's certificate authority as the control plane keeps it: a root and an intermediate in the state directory
//! (0600), and what is signed with the intermediate. Made once, when the first model names the trust domain.
use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use ca::{Authority, AuthorityError, Issued};
use identity::{Bundle, BundleError, Svid, SvidError, TlsError};
use model::{Name, SpiffeId, TrustDomain};
use rustls::{ServerConfig, pki_types::CertificateDer};

/// Life of a development root.
pub const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Life of an intermediate; a new one is signed when less than a third is left.
pub const INTERMEDIATE_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why there is no certificate authority, or why it does not sign.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// A file of the authority cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// read or write.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is there and another that belongs to it is not.
    #[error("{} is missing beside the other files of the certificate authority: restore it from your backup, or move the whole directory away to start a new trust domain", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// What was kept names no trust domain.
    #[error("{} does not hold a trust domain", path.display())]
    TrustDomain {
        /// Which file.
        path: PathBuf,
    },
    /// The authority cannot be read or does not sign.
    #[error("the certificate authority does not work")]
    Authority(#[from] AuthorityError),
    /// The root is not usable as a bundle.
    #[error("the root certificate cannot be used")]
    Bundle(#[from] BundleError),
    /// Our own identity cannot be used.
    #[error("the control plane's own SVID cannot be used")]
    Svid(#[from] SvidError),
    /// Not a service account.
    #[error("`{0}` is not a service account")]
    Account(String),
    /// No key for our own identity.
    #[error("no key for the control plane's own SVID")]
    Csr(#[from] identity::csr::CsrError),
    /// Our own TLS configuration cannot be made.
    #[error("the control plane's TLS configuration cannot be made")]
    Tls(#[from] TlsError),
}

/// Signs for one trust domain.
pub struct Issuer {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Its roots.
    pub bundle: Bundle,
    root_sha256: [u8; 32],
    root_pem: String,
    intermediate: Authority,
}

impl Issuer {
    /// Reads the authority kept below `dir`; `None` when none was made yet. Signs a new intermediate when the kept one
    /// is missing or nears its end.
    pub fn load(dir: &Path, now: SystemTime) -> Result<Option<Self>, IssuerError> {
        let files = Files::of(dir);
        // Written last, so a creation that was cut short is made again.
        let Some(domain) = files.read(&files.domain)? else { return Ok(None) };
        let trust_domain: TrustDomain =
            domain.trim().parse().map_err(|_| IssuerError::TrustDomain { path: files.domain.clone() })?;
        let root_pem = files.need(&files.root)?;
        let root_key = files.need(&files.root_key)?;
        let root = Authority::from_pem(&root_pem, &root_key)?;
        let kept = match (files.read(&files.intermediate)?, files.read(&files.intermediate_key)?) {
            (Some(chain), Some(key)) => Some(Authority::from_pem(&chain, &key)?),
            _ => None,
        };
        let intermediate = match kept.filter(|i| i.not_after() > now + INTERMEDIATE_LIFE / 3) {
            Some(intermediate) => intermediate,
            None => files.new_intermediate(&root, &trust_domain, now)?,
        };
        Self::assemble(trust_domain, &root, intermediate).map(Some)
    }

    /// Makes a development root and an intermediate and keeps them below `dir`.
    pub fn create(dir: &Path, trust_domain: &TrustDomain, now: SystemTime) -> Result<Self, IssuerError> {
        let files = Files::of(dir);
        let write = |source| IssuerError::File { doing: "make", path: dir.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(write)?;
        let root = Authority::generate_root(trust_domain, ROOT_LIFE, now)?;
        let pem = root.to_pem();
        files.write(&files.root_key, pem.key.as_bytes())?;
        files.write(&files.root, pem.chain.as_bytes())?;
        let intermediate = files.new_intermediate(&root, trust_domain, now)?;
        files.write(&files.domain, format!("{trust_domain}\n").as_bytes())?;
        Self::assemble(trust_domain.clone(), &root, intermediate)
    }

    fn assemble(trust_domain: TrustDomain, root: &Authority, intermediate: Authority) -> Result<Self, IssuerError> {
        let bundle = Bundle::from_der(trust_domain.clone(), vec![root.certificate().clone()])?;
        let root_pem = root.to_pem().chain;
        Ok(Self { trust_domain, bundle, root_sha256: root.sha256(), root_pem, intermediate })
    }

    /// SHA-256 of the root, what join tokens pin.
    pub fn root_sha256(&self) -> [u8; 32] {
        self.root_sha256
    }

    /// The roots, PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The roots, DER.
    pub fn roots(&self) -> Vec<Vec<u8>> {
        self.bundle.roots.iter().map(|r| r.to_vec()).collect()
    }

    /// An SVID for the key of a request, whose own names are ignored.
    pub fn sign(&self, csr: &[u8], id: &SpiffeId, ttl: Duration, now: SystemTime) -> Result<Issued, AuthorityError> {
        self.intermediate.sign_svid(csr, id, ttl, now)
    }

    /// A server certificate for a gateway's hosts.
    pub fn sign_server(
        &self,
        csr: &[u8],
        hosts: &[&str],
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Issued, AuthorityError> {
        self.intermediate.sign_server(csr, hosts, ttl, now)
    }

    /// A fresh SVID of our own, of an account in the root namespace.
    pub fn own(&self, namespace: &Name, account: &str, ttl: Duration, now: SystemTime) -> Result<Svid, IssuerError> {
        let (key, csr) = identity::csr::new()?;
        let account = account.parse().map_err(|_| IssuerError::Account(account.to_owned()))?;
        let id = SpiffeId::for_node(&self.trust_domain, namespace, &account);
        let issued = self.sign(&csr, &id, ttl, now)?;
        Ok(Svid::from_der(issued.chain, key)?)
    }

    /// The TLS configuration of the port that proxies connect to.
    pub fn server_config(
        &self,
        svid: &Svid,
        time: Arc<dyn rustls::time_provider::TimeProvider>,
    ) -> Result<Arc<ServerConfig>, IssuerError> {
        let options = identity::ServerOptions {
            alpn: vec![b"h2".to_vec()],
            time: Some(time),
            ..identity::ServerOptions::default()
        };
        Ok(identity::server_config_optional_client(svid, &self.bundle, &options)?)
    }
}

/// DER of a chain, as the wire carries it.
pub fn der(chain: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
    chain.iter().map(|c| c.to_vec()).collect()
}

/// The files of the authority.
struct Files {
    root: PathBuf,
    root_key: PathBuf,
    intermediate: PathBuf,
    intermediate_key: PathBuf,
    domain: PathBuf,
}

impl Files {
    fn of(dir: &Path) -> Self {
        Self {
            root: dir.join("root.pem"),
            root_key: dir.join("root.key"),
            intermediate: dir.join("intermediate.pem"),
            intermediate_key: dir.join("intermediate.key"),
            domain: dir.join("trust-domain"),
        }
    }

    fn new_intermediate(
        &self,
        root: &Authority,
        domain: &TrustDomain,
        now: SystemTime,
    ) -> Result<Authority, IssuerError> {
        let intermediate = root.sign_intermediate(domain, INTERMEDIATE_LIFE, now)?;
        let pem = intermediate.to_pem();
        // The certificate first: a key without its certificate is taken for "none" and made again.
        self.write(&self.intermediate, pem.chain.as_bytes())?;
        self.write(&self.intermediate_key, pem.key.as_bytes())?;
        Ok(intermediate)
    }

    fn read(&self, path: &Path) -> Result<Option<String>, IssuerError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IssuerError::File { doing: "read", path: path.to_owned(), source }),
        }
    }

    fn need(&self, path: &Path) -> Result<String, IssuerError> {
        self.read(path)?.ok_or_else(|| IssuerError::Missing { path: path.to_owned() })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), IssuerError> {
        let failed = |source| IssuerError::File { doing: "write", path: path.to_owned(), source };
        daemon::files::replace(path, bytes).map_err(failed)
    }
}

/// The time that TLS judges certificates by: the daemon's clock.
#[derive(Debug)]
pub struct TlsTime(pub daemon::Clock);

impl rustls::time_provider::TimeProvider for TlsTime {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(self.0.unix_seconds())))
    }
}
