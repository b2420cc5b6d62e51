//! How requests of strangers come in: which flow of a party anybody in its zone can use, what of it is passed on to what lies
//! behind, and where nothing filters it on the way.
use std::collections::HashSet;

use model::{
    Auth, NodeKind, Role, Trust,
    words::{self, Place, State},
};

use crate::{
    closure::Fact,
    view::{DataId, Exposed, FlowId, FlowView, NodeId, NodeView, View},
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

/// Whether it is a flow of somebody of which the target lets nothing in without a token: a signed one, a key of an
/// interface, a proof of a cloud. A password is asked for by a page that everybody may see.
pub(crate) fn asks_for_token(view: &View<'_>, flow: &FlowView<'_>) -> bool {
    let (from, to) = (view.node(flow.from), view.node(flow.to));
    let token = |auth: Option<Auth>| auth.is_some_and(|a| !matches!(a, Auth::None | Auth::Password | Auth::Key));
    let said = flow.flow.via.words.get("auth").and_then(|w| w.as_str());
    let by_flow = said.is_some_and(|w| !matches!(w, "none" | "password" | "key"));
    from.is_anybody()
        && said != Some("none")
        && (flow.flow.via.jwt.is_some()
            || by_flow
            || is_turned_away(view, flow)
            || token(from.node.auth) && !to.says_open()
            || token(to.node.auth)
            || to.guarded(&["oidc", "mfa"]))
}

/// Whether what comes by the first goes on by the second: some of what is sent, or some of the answer.
fn is_passed(source: &FlowView<'_>, on: &FlowView<'_>) -> bool {
    source.carries.iter().any(|d| on.carries.contains(d)) || source.returns.iter().any(|d| on.returns.contains(d))
}

/// The flow by which a stranger sends what is passed on: of those of the same zone to the same node as one of them, the first
/// by name that asks for nothing and carries some of it; that one where there is none.
pub(crate) fn sent_by(view: &View<'_>, flow: FlowId, passed: FlowId) -> FlowId {
    let (of, passed) = (view.flow(flow), view.flow(passed));
    let zone = &view.node(of.from).node.zone;
    let same = view.node(of.to).inbound.iter().copied().filter(|f| {
        let from = view.node(view.flow(*f).from);
        from.is_anybody() && from.node.zone == *zone && !view.flow(*f).flow.standby
    });
    let fits = same.filter(|f| {
        let other = view.flow(*f);
        !asks_for_token(view, other) && is_passed(other, passed)
    });
    fits.min_by_key(|f| view.flow(*f).flow.id.as_str()).unwrap_or(flow)
}

/// Whether whoever is not the party cannot so much as connect: mutual TLS asks for the certificate first. That the party has one
/// is no word about a target that says that it asks for something else.
pub(crate) fn is_turned_away(view: &View<'_>, flow: &FlowView<'_>) -> bool {
    let to = view.node(flow.to).node;
    let asked = to.under_ward() || to.auth.is_none_or(|auth| auth == Auth::Mtls);
    asked && view.node(flow.from).node.auth == Some(Auth::Mtls)
        || flow.flow.via.words.get("mtls").is_some_and(|w| w.as_bool() == Some(true))
}

/// Whether a service passes on by this flow what it is asked, and for whom.
pub(crate) fn passes(view: &View<'_>, flow: FlowId) -> Passes {
    let of = view.flow(flow);
    let (from, to) = (view.node(of.from), view.node(of.to));
    if from.node.kind != NodeKind::Service || to.node.kind != NodeKind::Service || of.flow.standby {
        return Passes::Never;
    }
    let mut needs: Option<Vec<Fact>> = None;
    for source in view.inbound(of.from).filter(|f| is_passed(f, of)) {
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

/// Everywhere where requests come in that a service is passed with nothing to filter them on their way.
pub(crate) fn entrances_to(view: &View<'_>, service: NodeId) -> Vec<NodeId> {
    let (mut found, mut seen, mut queue) = (Vec::new(), HashSet::new(), vec![service]);
    while let Some(node) = queue.pop() {
        if view.node(node).guarded(&["waf"]) || !seen.insert(node) {
            continue;
        }
        if is_entrance(view, node) {
            found.push(node);
        }
        let passed = view.node(node).inbound.iter().filter(|f| passes(view, **f) != Passes::Never);
        queue.extend(passed.map(|f| view.flow(*f).from));
    }
    found.sort_unstable();
    found
}

/// Whether there is anything in a service to break into. What only passes requests on has nothing that its next hop has not,
/// and Ward's own gateway does no more.
pub(crate) fn does_something(view: &View<'_>, node: NodeId) -> bool {
    let of = view.node(node);
    let sent = |datum: &DataId| view.inbound(node).any(|f| f.carries.contains(datum));
    let uses =
        |flow: &FlowView<'_>| view.node(flow.to).keeps() && (!flow.returns.is_empty() || flow.carries.iter().any(sent));
    of.node.kind == NodeKind::Service
        && of.node.role != Some(Role::Gateway)
        && (!of.holds.is_empty()
            || !of.reads.is_empty()
            || view.outbound(node).any(uses)
            || of.outbound.iter().all(|f| passes(view, *f) == Passes::Never))
}

/// Whether requests from outside come in here with nothing to filter or limit them: those of a party, or of anybody to whom a
/// service is exposed that is no administration, no login and not what a cloud guards.
pub(crate) fn is_entrance(view: &View<'_>, node: NodeId) -> bool {
    is_unguarded_exposure(view, node) || view.inbound(node).any(|f| is_unguarded_entry(view, f))
}

/// A service outside Ward that anybody without trust can connect to, whatever flows say, with nothing before it.
pub(crate) fn is_unguarded_exposure(view: &View<'_>, node: NodeId) -> bool {
    let of = view.node(node);
    let guarded = matches!(of.node.auth, Some(Auth::Mtls | Auth::Iam | Auth::Sigv4 | Auth::Rbac | Auth::SessionToken));
    of.node.kind == NodeKind::Service
        && of.trust != Trust::None
        && matches!(of.exposed, Some(Exposed::Stated(_)))
        && !of.node.under_ward()
        && !of.node.admin
        && of.node.port.is_none()
        && !guarded
        && !of.guarded(&["waf", "rate", "oidc", "mfa"])
}

/// A flow of somebody without trust into a service that neither filters nor limits requests.
pub(crate) fn is_unguarded_entry(view: &View<'_>, flow: &FlowView<'_>) -> bool {
    let (from, to) = (view.node(flow.from), view.node(flow.to));
    from.trust == Trust::None
        && !is_turned_away(view, flow)
        && to.node.kind == NodeKind::Service
        && to.trust != Trust::None
        && !flow.flow.standby
        && !to.guarded(&["waf", "rate"])
}

/// Whether Ward reads this guard of a node under it and does nothing yet: to declare it mends the diagram only.
pub(crate) fn is_declared_only(of: &NodeView<'_>, guard: &str) -> bool {
    of.node.under_ward() && words::find(Place::Guards, guard).is_some_and(|w| w.state == State::NotYet)
}

/// What a node asks strangers for: what it says itself, else what the flow by which they come says of their proof.
pub(crate) fn asked(view: &View<'_>, node: &NodeView<'_>) -> Option<Auth> {
    let (None, Some(Exposed::Flow(flow))) = (node.node.auth, node.exposed) else { return node.node.auth };
    let of = view.flow(flow);
    let words = &of.flow.via.words;
    match words.get("auth").and_then(|w| w.as_str()) {
        Some("none") => return Some(Auth::None),
        Some("password") => return Some(Auth::Password),
        Some("key") => return Some(Auth::Key),
        Some(_) => return Some(Auth::Token),
        None => {}
    }
    match is_turned_away(view, of) || of.flow.via.jwt.is_some() {
        true => Some(Auth::Mtls),
        false => view.node(of.from).node.auth,
    }
}
