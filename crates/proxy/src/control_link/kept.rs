//! What survives a restart, in the state directory: our identity (with its key, 0600), the last acknowledged
//! configuration, and reports that nobody took. Each file is replaced whole or not at all.
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use daemon::logs::chain;
use identity::{Bundle, PrivateKey, Svid, certificates_to_pem};
use model::{SpiffeId, TrustDomain};
use prost::Message;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use wire::v1::ReportRequest;
use zeroize::Zeroizing;

use super::discovery::Set;
use crate::snapshot::{Identity, ServerCertificate};

const IDENTITY: &str = "identity.json";
const CONFIGURATION: &str = "configuration.json";
const REPORTS: &str = "reports.bin";

/// Who we are and whom we trust, and the server certificates of our gateway listeners.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) svid: Arc<Svid>,
    pub(super) bundle: Bundle,
    /// The only identity we take configuration from.
    pub(super) control: SpiffeId,
    /// By listen port.
    pub(super) servers: BTreeMap<u16, Server>,
}

/// A server certificate of a listener with `tls: auto`.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) hosts: Vec<String>,
    pub(super) certificate: ServerCertificate,
    pub(super) issued: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Held {
    /// As the data path wants it.
    pub(super) fn identity(&self) -> Identity {
        let servers = self.servers.iter().map(|(port, server)| (*port, server.certificate.clone()));
        Identity { svid: self.svid.clone(), bundle: self.bundle.clone(), server_certificates: servers.collect() }
    }
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// Reading or writing.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// read, write, make.
        doing: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What is kept belongs to another node.
    #[error("{} holds the identity `{id}`, this proxy is node `{node}`: give each node a state directory of its own", path.display())]
    OtherNode {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        id: SpiffeId,
        /// Who we are.
        node: String,
    },
    /// The file cannot be understood.
    #[error("{} cannot be understood ({why}): remove it and join again with a new token", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The first thing that is wrong.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
struct IdentityFile {
    control: String,
    trust_domain: String,
    key: Zeroizing<String>,
    chain: String,
    bundle: String,
    #[serde(default)]
    servers: BTreeMap<u16, ServerFile>,
}

#[derive(Serialize, Deserialize)]
struct ServerFile {
    hosts: Vec<String>,
    key: Zeroizing<String>,
    chain: String,
    issued: u64,
    not_after: u64,
}

/// The state directory.
pub(super) struct StateDir(PathBuf);

impl StateDir {
    /// Makes it (0700) when it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, KeptError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| KeptError::File {
            doing: "make",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(path.to_owned()))
    }

    /// The kept identity of `node`, whether or not it is still valid; `None` when none is kept.
    pub(super) fn identity(&self, node: &str) -> Result<Option<Held>, KeptError> {
        let path = self.0.join(IDENTITY);
        let Some(text) = read(&path)? else { return Ok(None) };
        let text = Zeroizing::new(text);
        let damaged = |why: String| KeptError::Damaged { path: path.clone(), why };
        let file: IdentityFile = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        let held = file.held().map_err(damaged)?;
        match held.svid.id.namespace_and_account() {
            Some((_, account)) if account == node => Ok(Some(held)),
            _ => Err(KeptError::OtherNode { path, id: held.svid.id.clone(), node: node.to_owned() }),
        }
    }

    /// Keeps the identity.
    pub(super) fn keep_identity(&self, held: &Held) -> Result<(), KeptError> {
        let path = self.0.join(IDENTITY);
        // Reserved at once: growing would leave copies of the key behind.
        let mut text = Zeroizing::new(Vec::with_capacity(64 * 1024));
        serde_json::to_writer(&mut *text, &IdentityFile::of(held)).map_err(|e| KeptError::File {
            doing: "write",
            path: path.clone(),
            source: e.into(),
        })?;
        replace(&path, &text)
    }

    /// The last acknowledged configuration; `None` when none is kept. One that an older or newer version wrote and this
    /// one cannot read is damage like any other.
    pub(super) fn configuration(&self) -> Result<Option<Set>, KeptError> {
        let path = self.0.join(CONFIGURATION);
        let Some(text) = read(&path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|e| KeptError::Damaged { path, why: e.to_string() })
    }

    /// Keeps the configuration.
    pub(super) fn keep_configuration(&self, set: &Set) -> Result<(), KeptError> {
        let path = self.0.join(CONFIGURATION);
        let text = serde_json::to_vec(set).map_err(|e| KeptError::File {
            doing: "write",
            path: path.clone(),
            source: e.into(),
        })?;
        replace(&path, &text)
    }

    /// Forgets the configuration of another mesh.
    pub(super) fn forget_configuration(&self) -> Result<(), KeptError> {
        remove(&self.0.join(CONFIGURATION))
    }

    /// What was not reported when the proxy last ended; it is handed over once.
    pub(super) fn take_reports(&self) -> Result<Vec<ReportRequest>, KeptError> {
        let path = self.0.join(REPORTS);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(KeptError::File { doing: "read", path, source }),
        };
        remove(&path)?;
        let mut rest = bytes.as_slice();
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let message = ReportRequest::decode_length_delimited(&mut rest);
            messages.push(message.map_err(|e| KeptError::Damaged { path: path.clone(), why: e.to_string() })?);
        }
        Ok(messages)
    }

    /// Keeps what could not be reported.
    pub(super) fn keep_reports(&self, messages: &[ReportRequest]) -> Result<(), KeptError> {
        let bytes: Vec<u8> = messages.iter().flat_map(|message| message.encode_length_delimited_to_vec()).collect();
        replace(&self.0.join(REPORTS), &bytes)
    }
}

impl IdentityFile {
    fn of(held: &Held) -> Self {
        let servers = held.servers.iter().map(|(port, server)| {
            let file = ServerFile {
                hosts: server.hosts.clone(),
                key: server.certificate.key.to_pem(),
                chain: certificates_to_pem(&server.certificate.chain),
                issued: unix_seconds(server.issued),
                not_after: unix_seconds(server.not_after),
            };
            (*port, file)
        });
        Self {
            control: held.control.to_string(),
            trust_domain: held.bundle.trust_domain.to_string(),
            key: held.svid.key.to_pem(),
            chain: certificates_to_pem(&held.svid.chain),
            bundle: certificates_to_pem(&held.bundle.roots),
            servers: servers.collect(),
        }
    }

    fn held(self) -> Result<Held, String> {
        let domain = TrustDomain::try_from(self.trust_domain).map_err(|e| chain(&e))?;
        let bundle = Bundle::from_pem(domain, &self.bundle).map_err(|e| chain(&e))?;
        let mut servers = BTreeMap::new();
        for (port, file) in self.servers {
            let certificates: Vec<_> = CertificateDer::pem_slice_iter(file.chain.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|e| chain(&e))?;
            let key = Arc::new(PrivateKey::from_pem(&file.key).map_err(|e| chain(&e))?);
            let server = Server {
                hosts: file.hosts,
                certificate: ServerCertificate { chain: certificates, key },
                issued: from_unix_seconds(file.issued),
                not_after: from_unix_seconds(file.not_after),
            };
            servers.insert(port, server);
        }
        Ok(Held {
            svid: Arc::new(Svid::from_pem(&self.chain, &self.key).map_err(|e| chain(&e))?),
            bundle,
            control: SpiffeId::try_from(self.control).map_err(|e| chain(&e))?,
            servers,
        })
    }
}

pub(super) fn from_unix_seconds(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn read(path: &Path) -> Result<Option<String>, KeptError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeptError::File { doing: "read", path: path.to_owned(), source }),
    }
}

fn remove(path: &Path) -> Result<(), KeptError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(KeptError::File { doing: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeptError> {
    let failed = |source| KeptError::File { doing: "write", path: path.to_owned(), source };
    daemon::files::replace(path, bytes).map_err(failed)
}

#[cfg(test)]
mod tests;
