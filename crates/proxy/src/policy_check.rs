//! May an open connection stay under a new snapshot? Requests are decided one by one anyway; this is for tunnels, and
//! for peers that have no rule at all any more.
use crate::{pool::Destination, view::View, watch::Subject};

/// Whether a connection may stay.
pub(crate) fn keeps(view: &View, subject: &Subject) -> bool {
    match subject {
        Subject::Local => true,
        Subject::Peer { principal } => view.snapshot.dry_run || view.snapshot.admitted.contains(Some(principal)),
        Subject::Held(facts) => {
            let served = view.service(facts.port).is_some();
            served && (view.snapshot.dry_run || view.snapshot.rules.decide(&facts.request()).is_allowed())
        }
        Subject::UpstreamTunnel { upstream, id } => view.upstream(upstream).is_some_and(|p| match &p.destination {
            Destination::Mesh(u) => u.id.as_str() == &**id,
            Destination::App(_) => false,
        }),
    }
}
