//! How requests of strangers come in: which flow of a party anybody in its zone can use, what of it is passed on to what lies
//! behind, and where nothing filters it on the way.
use std::collections::VecDeque;

use model::{Auth, NodeKind, Role, Trust};

use crate::{
    closure::Fact,
    view::{FlowId, FlowView, NodeId, View},
};

/// For whom a service passes requests on by a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passes {
    /// For nobody.
    Never,
    /// For everybody who reaches the service.
    Always,
    /// For who has one of these besides: a token, or the party itself.
    With(Vec<Fact>),
}

/// Whether it is a flow of a party of which the target lets nothing in without a token: a signed one, a key of an
/// interface, a proof of a cloud. A password is asked for by a page that everybody may see.
pub(crate) fn asks_for_token(view: &View<'_>, flow: &FlowView<'_>) -> bool {
    let (from, to) = (view.node(flow.from), view.node(flow.to));
    let token = |auth: Option<Auth>| auth.is_some_and(|a| !matches!(a, Auth::None | Auth::Password | Auth::Key));
    let said = flow.flow.via.words.get("auth").and_then(|w| w.as_str());
    let by_flow = said.is_some_and(|w| !matches!(w, "none" | "password" | "key"));
    from.node.kind == NodeKind::Party
        && said != Some("none")
        && (flow.flow.via.jwt.is_some()
            || by_flow
            || is_turned_away(view, flow)
            || token(from.node.auth)
            || token(to.node.auth)
            || to.guarded(&["oidc", "mfa"]))
}

/// Whether whoever is not the party cannot so much as connect: mutual TLS asks for the certificate first.
pub(crate) fn is_turned_away(view: &View<'_>, flow: &FlowView<'_>) -> bool {
    view.node(flow.from).node.auth == Some(Auth::Mtls)
        || flow.flow.via.words.get("mtls").is_some_and(|w| w.as_bool() == Some(true))
}

/// Whether a service sends on by this flow some of what it is sent, and for whom.
pub(crate) fn passes(view: &View<'_>, flow: FlowId) -> Passes {
    let of = view.flow(flow);
    let (from, to) = (view.node(of.from), view.node(of.to));
    if from.node.kind != NodeKind::Service || to.node.kind != NodeKind::Service || of.flow.standby {
        return Passes::Never;
    }
    let mut needs: Option<Vec<Fact>> = None;
    for source in view.inbound(of.from).filter(|f| f.carries.iter().any(|d| of.carries.contains(d))) {
        if !asks_for_token(view, source) {
            return Passes::Always;
        }
        let needs = needs.get_or_insert_default();
        let secrets = source.carries.iter().filter(|d| view.class(**d) == model::Class::Secret);
        needs.extend(secrets.map(|d| Fact::Hold(*d)).chain([Fact::Control(source.from)]));
    }
    match needs {
        None => Passes::Never,
        Some(mut needs) => {
            needs.sort_unstable();
            needs.dedup();
            Passes::With(needs)
        }
    }
}

/// Of each service that does something with requests from outside which nothing filtered on their way: where they come in,
/// the first of several.
pub(crate) fn entrances(view: &View<'_>) -> Vec<Option<NodeId>> {
    let mut seen: Vec<Option<NodeId>> = vec![None; view.nodes.len()];
    let mut entries: Vec<NodeId> = view.flows.iter().filter(|f| is_unguarded_entry(view, f)).map(|f| f.to).collect();
    entries.sort_unstable();
    entries.dedup();
    for entry in entries {
        let mut queue = VecDeque::from([entry]);
        while let Some(node) = queue.pop_front() {
            if seen[node].is_some() || view.node(node).guarded(&["waf"]) {
                continue;
            }
            seen[node] = Some(entry);
            let passed = view.node(node).outbound.iter().filter(|f| passes(view, **f) != Passes::Never);
            queue.extend(passed.map(|f| view.flow(*f).to));
        }
    }
    for (node, seen) in seen.iter_mut().enumerate() {
        let of = view.node(node);
        // What only passes requests on has nothing to break into that its next hop has not.
        let does_something = of.node.kind == NodeKind::Service
            && of.node.role != Some(Role::Gateway)
            && !(of.holds.is_empty() && of.reads.is_empty());
        *seen = seen.filter(|_| does_something);
    }
    seen
}

/// Whether requests from outside come in here with nothing to filter them.
pub(crate) fn is_entrance(view: &View<'_>, node: NodeId) -> bool {
    view.inbound(node).any(|f| is_unguarded_entry(view, f))
}

/// A flow of somebody without trust into a service that neither filters nor limits requests.
pub(crate) fn is_unguarded_entry(view: &View<'_>, flow: &FlowView<'_>) -> bool {
    let (from, to) = (view.node(flow.from), view.node(flow.to));
    from.node.kind == NodeKind::Party
        && from.trust == Trust::None
        && !is_turned_away(view, flow)
        && to.node.kind == NodeKind::Service
        && to.trust != Trust::None
        && !flow.flow.standby
        && !to.guarded(&["waf", "rate"])
}
