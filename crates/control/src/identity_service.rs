//! Join and Sign: how a proxy gets its identity. The names in a signing request are ignored: a token, or the certificate
//! the caller has, says who it is; the model says whether that node may have an identity at all.
use std::{sync::Arc, time::SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use ca::Issued;
use daemon::logs::chain;
use identity::JoinToken;
use model::{ListenTls, SpiffeId};
use tonic::{Request, Response, Status};
use tracing::{error, info, warn};
use wire::v1::{JoinRequest, SignRequest, SvidResponse, identity_server::Identity, sign_request};

use crate::{
    issuer::der,
    listen::identified,
    plane::{Current, Plane, now_ms},
    store::{Event, StoreError},
};

/// Longest signing request that is read.
const CSR_BYTES_MAX: usize = 8 * 1024;

/// The identity service.
pub struct IdentityService {
    /// The control plane.
    pub plane: Arc<Plane>,
}

#[tonic::async_trait]
impl Identity for IdentityService {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<SvidResponse>, Status> {
        let request = request.into_inner();
        let current = self.current()?;
        let csr = bounded(&request.csr)?;
        let token: JoinToken =
            request.token.parse().map_err(|e| Status::invalid_argument(format!("not a join token: {e}")))?;
        let refused = |why: &'static str| {
            warn!(token = token.id, node = %token.node, why, "join refused");
            Status::unauthenticated(format!("join token {} is refused: {why}", token.id))
        };
        let unknown = || refused("it is not known here, or was altered; make a new one with `ward token create`");
        let row = self.plane.store.token(&token.id).await.map_err(|e| store_failed(&e))?.ok_or_else(unknown)?;
        let same = verify_slices_are_equal(&row.secret_sha256, &token.secret_sha256()).is_ok();
        if !same || row.node != token.node.as_str() || token.root_sha256 != current.issuer.root_sha256() {
            return Err(unknown());
        }
        let now = now_ms(&self.plane.clock);
        // Only whoever holds the secret learns these.
        if row.expires_ms <= now {
            return Err(refused("it has expired; make a new one with `ward token create`"));
        }
        if row.uses_left == 0 {
            return Err(refused("it is used up; make a new one with `ward token create`"));
        }
        let id = current
            .model
            .nodes
            .get_key_value(token.node.as_str())
            .filter(|(_, node)| node.under_ward())
            .and_then(|(name, _)| current.model.spiffe_id(name.as_str()))
            .ok_or_else(|| refused("its node is not under Ward in the model that is in force"))?;
        let issued = self.svid(&current, csr, &id)?;
        let event = Event {
            time_ms: now,
            actor: id.to_string(),
            action: "join".to_owned(),
            subject: token.node.to_string(),
            revision: current.revision,
            detail: format!("token {}, serial {}", token.id, crate::snapshot::hex(&issued.serial)),
        };
        if !self.plane.store.take_token(&token.id, now, &event).await.map_err(|e| store_failed(&e))? {
            return Err(refused("it was used up just now; make a new one with `ward token create`"));
        }
        info!(node = %token.node, token = token.id, "joined");
        Ok(Response::new(response(&current, &issued, &id, token.node.as_str())))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SvidResponse>, Status> {
        let (id, peer) = identified(&request)?;
        let request = request.into_inner();
        let current = self.current()?;
        let csr = bounded(&request.csr)?;
        if peer.not_after <= self.plane.clock.now() {
            return Err(Status::unauthenticated("the certificate of this connection has expired: join again"));
        }
        let (name, node) = current.node_of(&id).ok_or_else(|| {
            warn!(%id, "renewal refused: not a node under Ward in the model that is in force");
            Status::permission_denied(format!("`{id}` is not a node under Ward in the model that is in force"))
        })?;
        let issued = match request.kind() {
            sign_request::Kind::Svid => self.svid(&current, csr, &id)?,
            sign_request::Kind::Server => {
                let listen = node
                    .listen
                    .iter()
                    .find(|l| u32::from(l.port) == request.listen_port)
                    .filter(|l| l.tls == ListenTls::Auto);
                let listen = listen.ok_or_else(|| {
                    Status::permission_denied(format!(
                        "`{name}` has no `listen` entry on port {} with `tls: auto`",
                        request.listen_port
                    ))
                })?;
                let hosts: Vec<&str> = listen.hosts.iter().map(String::as_str).collect();
                current
                    .issuer
                    .sign_server(csr, &hosts, current.model.mesh.svid_ttl, self.plane.clock.now())
                    .map_err(|e| refused_csr(&e))?
            }
        };
        info!(%id, kind = request.kind().as_str_name(), serial = crate::snapshot::hex(&issued.serial), "signed");
        Ok(Response::new(response(&current, &issued, &id, name.as_str())))
    }
}

impl IdentityService {
    fn current(&self) -> Result<Arc<Current>, Status> {
        self.plane.current().ok_or_else(|| {
            Status::failed_precondition("this control plane has no model yet: run `ward apply DIR` beside it first")
        })
    }

    fn svid(&self, current: &Current, csr: &[u8], id: &SpiffeId) -> Result<Issued, Status> {
        let now: SystemTime = self.plane.clock.now();
        current.issuer.sign(csr, id, current.model.mesh.svid_ttl, now).map_err(|e| refused_csr(&e))
    }
}

fn bounded(csr: &[u8]) -> Result<&[u8], Status> {
    match csr.len() {
        0..=CSR_BYTES_MAX => Ok(csr),
        count => Err(Status::invalid_argument(format!(
            "the signing request has {count} bytes, at most {CSR_BYTES_MAX} are read"
        ))),
    }
}

fn refused_csr(error: &ca::AuthorityError) -> Status {
    match error {
        ca::AuthorityError::Request(_) => Status::invalid_argument(chain(error)),
        _ => {
            error!(error = chain(error), "cannot sign");
            Status::internal("the certificate authority cannot sign; see the control plane's log")
        }
    }
}

/// What a peer is told when the store fails: to come back. The log has the cause.
pub(crate) fn store_failed(error: &StoreError) -> Status {
    error!(error = chain(error), "the store failed");
    Status::unavailable("the control plane cannot use its store; try again later")
}

fn response(current: &Current, issued: &Issued, id: &SpiffeId, node: &str) -> SvidResponse {
    let not_after = issued.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    SvidResponse {
        chain: der(&issued.chain),
        bundle: current.issuer.roots(),
        spiffe_id: id.to_string(),
        not_after: i64::try_from(not_after).unwrap_or(i64::MAX),
        node: node.to_owned(),
    }
}
