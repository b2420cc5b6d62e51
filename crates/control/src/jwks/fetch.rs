//! One fetch: resolve, look where that is, connect to just that address, read a bounded answer. No redirects, no proxies
//! of the environment, no second name look-up that could answer otherwise.
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use daemon::Clock;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Body;
use hyper_util::rt::TokioIo;
use identity::token::{JWKS_BYTES_MAX, KeySet, KeySetError};
use model::{KeyAddress, Reach, issuer::KeyAddressError};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName},
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::TlsConnector;

use super::{Inside, Source};
use crate::issuer::{Issuer, TlsTime};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Most bytes of the answer's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The members of a key that say how to check a signature. Nothing else is passed on: neither certificates, nor what an
/// issuer publishes by mistake.
const MEMBERS: [&str; 10] = ["kty", "kid", "alg", "use", "key_ops", "n", "e", "crv", "x", "y"];

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No address.
    #[error("this is no address of keys")]
    Address(#[from] KeyAddressError),
    /// Not found by name.
    #[error("`{host}` cannot be found")]
    Resolve {
        /// Its name.
        host: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It lies where nobody said that it may.
    #[error("`{host}` is {ip}, and no public address: only `mesh.issuers` can say that it may be (`private: true`)")]
    Inside {
        /// Its name.
        host: String,
        /// The address.
        ip: IpAddr,
    },
    /// Nobody answers.
    #[error("no connection to {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not who it should be.
    #[error("no TLS connection: the certificate must be of a public authority or of this mesh's own")]
    Tls(#[source] std::io::Error),
    /// TLS cannot be spoken at all.
    #[error("TLS cannot be set up")]
    Config(#[from] rustls::Error),
    /// A host that no certificate can name.
    #[error("no certificate can name this host")]
    Name(#[from] InvalidDnsNameError),
    /// No HTTP.
    #[error("no answer that can be read")]
    Http(#[from] hyper::Error),
    /// The request cannot be made.
    #[error("no such request")]
    Request(#[from] http::Error),
    /// Keys are here or nowhere.
    #[error("the answer is {0}, a redirect: name the address it leads to")]
    Redirect(StatusCode),
    /// No keys.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// Too much.
    #[error("the answer is longer than {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    /// Too slow.
    #[error("no whole answer within {} s", .0.as_secs())]
    Timeout(std::time::Duration),
    /// Something else.
    #[error("the answer is not text")]
    Text,
    /// Something else, or nothing to check a signature with.
    #[error("the answer is no usable key set")]
    Keys(#[from] KeySetError),
}

/// Whose certificates are believed: the system's authorities, read once, and the mesh's own.
#[derive(Default)]
pub struct Trust {
    system: OnceLock<Vec<CertificateDer<'static>>>,
}

impl Trust {
    async fn config(self: &Arc<Self>, issuer: &Issuer, clock: &Clock) -> Result<ClientConfig, FetchError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(issuer.bundle.roots.iter().cloned());
        let trust = self.clone();
        // A hundred files or more.
        let system = tokio::task::spawn_blocking(move || {
            trust.system.get_or_init(|| rustls_native_certs::load_native_certs().certs).clone()
        });
        roots.add_parsable_certificates(system.await.unwrap_or_default());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(TlsTime(clock.clone())))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(config)
    }
}

/// Fetches the keys at an address: the set, reduced to what checks signatures.
///
/// # Errors
/// There are none, for whatever reason.
pub(super) async fn fetch(
    source: &Source,
    trust: &Arc<Trust>,
    issuer: &Issuer,
    clock: &Clock,
) -> Result<String, FetchError> {
    let deadline = source.timeout;
    tokio::time::timeout(deadline, ask(source, trust, issuer, clock))
        .await
        .unwrap_or(Err(FetchError::Timeout(deadline)))
}

async fn ask(source: &Source, trust: &Arc<Trust>, issuer: &Issuer, clock: &Clock) -> Result<String, FetchError> {
    let address = KeyAddress::parse(&source.address)?;
    let stream = connect(source, &address).await?;
    let body = if address.tls {
        let config = trust.config(issuer, clock).await?;
        let name = match address.ip() {
            Some(ip) => ServerName::IpAddress(ip.into()),
            None => ServerName::try_from(address.host.clone())?,
        };
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(FetchError::Tls)?;
        exchange(stream, &address).await?
    } else {
        exchange(stream, &address).await?
    };
    let text = std::str::from_utf8(&body).map_err(|_| FetchError::Text)?;
    KeySet::parse(text)?;
    let reduced = reduced(text);
    // What is passed on must be as good as what came.
    KeySet::parse(&reduced)?;
    Ok(reduced)
}

/// Connects to one of the addresses of a name, of which every single one must be where it may be: a name that is partly
/// inside and partly outside is up to something.
async fn connect(source: &Source, address: &KeyAddress) -> Result<TcpStream, FetchError> {
    let host = &address.host;
    let found: Vec<SocketAddr> = if host == "localhost" {
        // RFC 6761 §6.3: no name service has a say in it.
        vec![(Ipv4Addr::LOCALHOST, address.port).into(), (Ipv6Addr::LOCALHOST, address.port).into()]
    } else {
        let resolve = |source| FetchError::Resolve { host: host.clone(), source };
        lookup_host((host.as_str(), address.port)).await.map_err(resolve)?.take(ADDRESSES_MAX).collect()
    };
    for one in &found {
        if !allowed(one.ip(), source.inside, address.tls) {
            return Err(FetchError::Inside { host: host.clone(), ip: one.ip() });
        }
    }
    let mut first = None;
    for one in found {
        match TcpStream::connect(one).await {
            Ok(stream) => return Ok(stream),
            Err(source) => drop(first.get_or_insert(FetchError::Connect { address: one, source })),
        }
    }
    let nowhere = || FetchError::Resolve { host: host.clone(), source: std::io::ErrorKind::NotFound.into() };
    Err(first.unwrap_or_else(nowhere))
}

/// Whether keys may be fetched from there.
pub(super) fn allowed(ip: IpAddr, inside: Inside, tls: bool) -> bool {
    let loopback = ip.to_canonical().is_loopback();
    match Reach::of(ip) {
        // In plain text nothing leaves the machine.
        _ if !tls && !loopback => false,
        Reach::Public => true,
        Reach::Private => inside == Inside::Private || (inside == Inside::Loopback && loopback),
        Reach::Never => false,
    }
}

async fn exchange<S>(stream: S, address: &KeyAddress) -> Result<Vec<u8>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let default = if address.tls { 443 } else { 80 };
    let name = if address.host.contains(':') { format!("[{}]", address.host) } else { address.host.clone() };
    let authority = if address.port == default { name } else { format!("{name}:{}", address.port) };
    let request = Request::get(address.path.as_str())
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::USER_AGENT, concat!("ward-control/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchError::Redirect(status));
        }
        if status != StatusCode::OK {
            return Err(FetchError::Status(status));
        }
        let mut body = response.into_body();
        if body.size_hint().lower() > JWKS_BYTES_MAX as u64 {
            return Err(FetchError::TooLarge);
        }
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                if bytes.len() + data.len() > JWKS_BYTES_MAX {
                    return Err(FetchError::TooLarge);
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes)
    };
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    let mut open = true;
    loop {
        tokio::select! {
            answer = answer.as_mut() => return answer,
            // What was read before it ended is still on its way through the answer.
            _ = connection.as_mut(), if open => open = false,
        }
    }
}

/// The set with nothing in it but public keys and the members that say how to use them.
fn reduced(text: &str) -> String {
    let set: Value = serde_json::from_str(text).unwrap_or_default();
    let keys = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let public = keys.iter().filter(|key| key.get("kty").and_then(Value::as_str) != Some("oct"));
    let keys: Vec<Value> = public
        .map(|key| MEMBERS.iter().filter_map(|name| Some(((*name).to_owned(), key.get(*name)?.clone()))).collect())
        .collect();
    serde_json::json!({ "keys": keys }).to_string()
}
