//! The delta ADS server. One stream belongs to one identity, proven by its certificate; it is sent only that identity's
//! resources, only those that changed, and one response of each type at a time: a slow proxy costs nothing but itself.
use std::sync::Arc;

use daemon::logs::chain;
use model::SpiffeId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info, warn};
use wire::discovery::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, aggregated_discovery_service_server::AggregatedDiscoveryService,
};

use crate::{listen::identified, plane::Plane, registry::is_instance_of};

pub use session::Session;

mod session;
#[cfg(test)]
mod tests;

/// Longest refusal text that is kept.
const NACK_BYTES_MAX: usize = 2_048;

/// The discovery service.
pub struct DiscoveryService {
    /// The control plane.
    pub plane: Arc<Plane>,
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for DiscoveryService {
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (id, peer) = identified(&request)?;
        // At most one response of each of six types is unanswered, so this never fills.
        let (tx, rx) = mpsc::channel(8);
        let plane = self.plane.clone();
        let inbound = request.into_inner();
        self.plane.tasks.spawn(async move {
            debug!(%id, address = %peer.address, "discovery stream opened");
            if let Err(status) = serve(&plane, &id, inbound, &tx).await {
                debug!(%id, %status, "discovery stream ended");
                let _ = tx.try_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(rx)))
    }
}

async fn serve(
    plane: &Plane,
    id: &SpiffeId,
    mut inbound: Streaming<DeltaDiscoveryRequest>,
    tx: &mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
) -> Result<(), Status> {
    let mut current = plane.watch();
    let mut session = Session::default();
    let mut instance = None;
    let mut told = (0, String::new());
    let node = id.namespace_and_account().map(|(_, node)| node.to_owned()).unwrap_or_default();
    loop {
        let request = tokio::select! {
            message = inbound.message() => match message? {
                Some(request) => Some(request),
                None => return Ok(()),
            },
            changed = current.changed() => {
                changed.map_err(|_| Status::unavailable("the control plane stops"))?;
                None
            }
            () = plane.tasks.drain().stopping() => return Err(Status::unavailable("the control plane stops")),
            () = tx.closed() => return Ok(()),
        };
        if let Some(mut request) = request {
            if let Some(label) = request.node.take().map(|n| n.id).filter(|label| is_instance_of(label, &node)) {
                instance = Some(label);
            }
            session.on_request(request)?;
        }
        let Some(view) = current.borrow_and_update().as_ref().map(|c| c.view(id)) else { continue };
        for response in session.advance(&view) {
            tx.try_send(Ok(response)).map_err(|_| Status::resource_exhausted("too many responses are unanswered"))?;
        }
        if let Some(instance) = &instance {
            let now = (session.synced(&view).unwrap_or(told.0), session.nack());
            if now != told {
                tell(plane, instance, &node, &now).await;
                told = now;
            }
        }
    }
}

/// Notes what an instance holds. Its configuration is in force whether or not we can write that down.
async fn tell(plane: &Plane, instance: &str, node: &str, (acked, nack): &(u64, String)) {
    if nack.is_empty() {
        info!(instance, revision = acked, "configuration acknowledged");
    } else {
        warn!(instance, nack, "configuration refused, the proxy keeps what it has");
    }
    plane.registry.acked(instance, node, *acked, nack);
    if let Err(error) = plane.store.put_ack(instance, *acked, nack).await {
        warn!(error = chain(&error), instance, "acknowledgement not stored");
    }
}
