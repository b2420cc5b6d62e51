//! Join and Sign: how the proxy gets its SVID, renews it, and gets server certificates for its gateway listeners. An answer
//! is believed only after it has been checked against what was asked for.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use daemon::{Clock, Tasks};
use identity::{Bundle, BundleError, ClientOptions, JoinToken, PrivateKey, Svid, SvidError, TlsError, csr};
use model::SpiffeId;
use rustls::pki_types::CertificateDer;
use tonic::{Code, Request, Status};
use wire::v1::{JoinRequest, SignRequest, SvidResponse, identity_client::IdentityClient, sign_request};

use super::{
    TlsTime,
    dial::{Connection, DialError, dial, origin},
    kept::{Held, Server, from_unix_seconds},
};
use crate::snapshot::ServerCertificate;

/// How long the control plane may take to sign.
const SIGN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a join did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No connection, or not to the control plane the token was made for.
    #[error("{}", if .0.is_wrong_peer() {
        "the control plane there is not the one this join token was made for"
    } else {
        "no connection to the control plane"
    })]
    Dial(#[source] DialError),
    /// The control plane said no.
    #[error("the control plane refused: {}", .0.message())]
    Refused(Box<Status>),
    /// It took too long.
    #[error("no answer within {} s", SIGN_TIMEOUT.as_secs())]
    Timeout,
    /// The answer is not what was asked for.
    #[error("the control plane's answer cannot be used")]
    Answer(#[source] AnswerError),
    /// No key or no TLS.
    #[error("cannot make a key")]
    Csr(#[source] csr::CsrError),
    /// TLS settings.
    #[error("cannot set up TLS")]
    Tls(#[source] TlsError),
}

/// Why a signed answer is not believed.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not an SVID for our key.
    #[error("not an SVID for our key")]
    Svid(#[source] SvidError),
    /// Not roots.
    #[error("not a bundle")]
    Bundle(#[source] BundleError),
    /// Another identity than ours.
    #[error("`{actual}` was signed, expected {expected}")]
    Identity {
        /// What the certificate says.
        actual: SpiffeId,
        /// What was asked for.
        expected: String,
    },
    /// The bundle lacks the root that the token pins.
    #[error("the bundle lacks the root that the join token names")]
    Root,
    /// Valid in the past only; one of the two clocks is wrong.
    #[error("what was signed has expired already: compare the clocks of both machines")]
    Expired,
}

impl JoinError {
    /// Whether trying again is pointless: the token or the control plane is the wrong one.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_wrong_peer(),
            Self::Refused(status) => {
                matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument)
            }
            Self::Answer(error) => !matches!(error, AnswerError::Expired),
            Self::Timeout | Self::Csr(_) | Self::Tls(_) => false,
        }
    }
}

/// Joins: a connection that trusts only the token's root and only the control plane's identity, and one call on it.
pub(super) async fn join(
    address: &str,
    token: &JoinToken,
    node: &str,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<Held, JoinError> {
    let config = identity::pinned_client_config(token.root_sha256, &options(clock)).map_err(JoinError::Tls)?;
    let (connection, control) = dial(address, config, tasks).await.map_err(JoinError::Dial)?;
    let (key, csr) = csr::new().map_err(JoinError::Csr)?;
    let request = JoinRequest { token: token.to_string(), csr };
    let mut client = IdentityClient::with_origin(connection, origin());
    let answer = tokio::time::timeout(SIGN_TIMEOUT, client.join(Request::new(request)));
    let answer = answer.await.map_err(|_| JoinError::Timeout)?.map_err(|s| JoinError::Refused(Box::new(s)))?;
    let answer = answer.into_inner();
    let pinned = answer.bundle.iter().any(|root| sha256(root) == token.root_sha256);
    let (svid, bundle) = svid_of(answer, key, clock).map_err(JoinError::Answer)?;
    if !pinned {
        return Err(JoinError::Answer(AnswerError::Root));
    }
    let account = svid.id.namespace_and_account().map(|(_, account)| account);
    if account != Some(node) || svid.id.trust_domain() != control.trust_domain() {
        let expected = format!("node `{node}` of trust domain `{}`", control.trust_domain());
        return Err(JoinError::Answer(AnswerError::Identity { actual: svid.id.clone(), expected }));
    }
    Ok(Held { svid: Arc::new(svid), bundle, control, servers: BTreeMap::new() })
}

/// Renews the SVID over a connection that was made with the present one.
pub(super) async fn renew(connection: Connection, own: SpiffeId, clock: Clock) -> Result<(Svid, Bundle), JoinError> {
    let (key, csr) = csr::new().map_err(JoinError::Csr)?;
    let request = SignRequest { csr, kind: sign_request::Kind::Svid.into(), listen_port: 0 };
    let answer = sign(connection, request).await?;
    let (svid, bundle) = svid_of(answer, key, &clock).map_err(JoinError::Answer)?;
    if svid.id != own {
        let expected = format!("`{own}`");
        return Err(JoinError::Answer(AnswerError::Identity { actual: svid.id.clone(), expected }));
    }
    Ok((svid, bundle))
}

/// A server certificate for the hosts of our own `listen` entry on `port`.
pub(super) async fn server(
    connection: Connection,
    port: u16,
    hosts: Vec<String>,
    clock: Clock,
) -> Result<Server, JoinError> {
    let (key, csr) = csr::new().map_err(JoinError::Csr)?;
    let request = SignRequest { csr, kind: sign_request::Kind::Server.into(), listen_port: port.into() };
    let answer = sign(connection, request).await?;
    let not_after = from_unix_seconds(u64::try_from(answer.not_after).unwrap_or_default());
    if not_after <= clock.now() {
        return Err(JoinError::Answer(AnswerError::Expired));
    }
    let chain = answer.chain.into_iter().map(CertificateDer::from).collect::<Vec<_>>();
    // The same check the listener will make: certificate and key belong together.
    identity::gateway_server_config(chain.clone(), &key, Vec::new()).map_err(JoinError::Tls)?;
    let certificate = ServerCertificate { chain, key: Arc::new(key) };
    Ok(Server { hosts, certificate, issued: clock.now(), not_after })
}

/// TLS options towards the control plane: the default suites, HTTP/2, judged by our clock.
pub(super) fn options(clock: &Clock) -> ClientOptions {
    ClientOptions {
        alpn: vec![b"h2".to_vec()],
        time: Some(Arc::new(TlsTime(clock.clone()))),
        ..ClientOptions::default()
    }
}

async fn sign(connection: Connection, request: SignRequest) -> Result<SvidResponse, JoinError> {
    let mut client = IdentityClient::with_origin(connection, origin());
    let answer = tokio::time::timeout(SIGN_TIMEOUT, client.sign(Request::new(request)));
    let answer = answer.await.map_err(|_| JoinError::Timeout)?;
    Ok(answer.map_err(|status| JoinError::Refused(Box::new(status)))?.into_inner())
}

fn svid_of(answer: SvidResponse, key: PrivateKey, clock: &Clock) -> Result<(Svid, Bundle), AnswerError> {
    let chain = answer.chain.into_iter().map(CertificateDer::from).collect();
    let svid = Svid::from_der(chain, key).map_err(AnswerError::Svid)?;
    if svid.not_after <= clock.now() {
        return Err(AnswerError::Expired);
    }
    // The domain of the SVID is compared with the control plane's by the caller.
    let domain = svid.id.trust_domain().to_owned().try_into();
    let domain = domain.map_err(|e| AnswerError::Svid(SvidError::NotSpiffe(e)))?;
    let roots = answer.bundle.into_iter().map(CertificateDer::from).collect();
    let bundle = Bundle::from_der(domain, roots).map_err(AnswerError::Bundle)?;
    Ok((svid, bundle))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    out
}
