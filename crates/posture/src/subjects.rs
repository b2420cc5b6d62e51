//! What each rule looks at: the things of a model that it could find something about. "Found nothing" means something only
//! where there was something to look at.
use std::collections::BTreeSet;

use model::{Auth, Class, NodeKind, Trust};

use crate::view::{DataId, DataView, FlowView, NodeId, NodeView, View};

/// What a rule looks at.
#[derive(Clone, Copy)]
pub struct LooksAt {
    /// In words, many of them: "stores of confidential data".
    pub what: &'static str,
    pub(crate) list: fn(&View<'_>) -> Vec<Subject>,
}

/// One thing that a rule looks at.
pub(crate) struct Subject {
    /// As the second half of a finding's id.
    pub(crate) id: String,
    /// The data at stake; none where it is everything.
    pub(crate) data: Option<Vec<DataId>>,
}

const fn looks_at(what: &'static str, list: fn(&View<'_>) -> Vec<Subject>) -> LooksAt {
    LooksAt { what, list }
}

pub(crate) const SENSITIVE_STORES: LooksAt =
    looks_at("stores of confidential data or worse", |view| stores(view, Class::Confidential));
pub(crate) const STORES: LooksAt = looks_at("stores of more than public data", |view| stores(view, Class::Internal));
pub(crate) const COPIES: LooksAt = looks_at("copies in stores, of data in stores", |view| {
    let kept = |of: &DataView<'_>| of.holders.iter().any(|n| view.node(*n).keeps());
    let originals = view.data.iter().enumerate().filter(|(_, of)| of.datum.class > Class::Public && kept(of));
    let pairs = originals.flat_map(|(id, of)| of.copies.iter().map(move |copy| (id, *copy)));
    let pairs = pairs.filter(|(_, copy)| kept(view.datum(*copy)));
    pairs.map(|(id, copy)| subject(view.datum(copy).name, opened(view, [id, copy]))).collect()
});
pub(crate) const LIMITED_COPIES: LooksAt = looks_at("copies of data that state a `retention`", |view| {
    let limited = view.data.iter().enumerate().filter(|(_, of)| of.datum.retention.is_some());
    let pairs = limited.flat_map(|(id, of)| of.copies.iter().map(move |copy| (id, *copy)));
    pairs.map(|(id, copy)| subject(view.datum(copy).name, opened(view, [id, copy]))).collect()
});
pub(crate) const FLOWS: LooksAt = looks_at("flows", |view| {
    let moved = |of: &FlowView<'_>| of.carries.iter().chain(&of.returns).copied().collect::<Vec<_>>();
    view.flows.iter().map(|of| subject(&of.flow.id, opened(view, moved(of)))).collect()
});
pub(crate) const MOVING_FLOWS: LooksAt =
    looks_at("flows of more than public data", |view| flows(view, |view, d| view.class(d) > Class::Public, |_| true));
pub(crate) const SENSITIVE_FLOWS: LooksAt = looks_at("flows of confidential data or worse", |view| {
    flows(view, |view, d| view.class(d) >= Class::Confidential, |of| !of.flow.standby)
});
pub(crate) const READ_FLOWS: LooksAt =
    looks_at("flows of confidential data or worse, beside the credential that opens the way", |view| {
        let mut all = flows(view, |view, d| view.class(d) >= Class::Confidential, |_| true);
        let only_key = |of: &FlowView<'_>| {
            let mut both = of.carries.iter().chain(&of.returns).filter(|d| view.class(**d) >= Class::Confidential);
            both.all(|d| view.datum(*d).opens.contains(&of.to))
        };
        let keys: BTreeSet<&str> = view.flows.iter().filter(|f| only_key(f)).map(|f| f.flow.id.as_str()).collect();
        all.retain(|s| !keys.contains(s.id.as_str()));
        all
    });
pub(crate) const PLACED_FLOWS: LooksAt = looks_at(
    "flows inside, of more than public data, that say whether they leave the private network (`local`)",
    |view| {
        let inside = |of: &FlowView<'_>| [of.from, of.to].iter().all(|n| view.node(*n).trust > Trust::None);
        let placed = view.flows.iter().filter(|f| f.flow.via.words.contains_key("local") && inside(f));
        moving(view, placed, |view, d| view.class(d) > Class::Public)
    },
);
pub(crate) const DESCENDING_FLOWS: LooksAt =
    looks_at("flows of confidential or restricted data to where there is less trust", |view| {
        let down = view.flows.iter().filter(|f| !f.flow.standby).filter_map(|of| {
            let (from, to) = (view.node(of.from).trust, view.node(of.to).trust);
            let fallen = match to.cmp(&from) {
                std::cmp::Ordering::Less => &of.carries,
                std::cmp::Ordering::Greater => &of.returns,
                std::cmp::Ordering::Equal => return None,
            };
            let grave = |d: &&DataId| matches!(view.class(**d), Class::Confidential | Class::Restricted);
            let data: Vec<DataId> = fallen.iter().filter(grave).copied().collect();
            (!data.is_empty()).then(|| subject(&of.flow.id, data))
        });
        down.collect()
    });
pub(crate) const SECRET_FLOWS: LooksAt = looks_at("flows of a secret", |view| {
    let secret = |d: &DataId| view.class(*d) == Class::Secret && !is_key(view.datum(*d));
    let carrying = view.flows.iter().filter(|f| f.carries.iter().chain(&f.returns).any(secret));
    moving(view, carrying, |view, d| view.class(d) == Class::Secret)
});
pub(crate) const PROMOTING_FLOWS: LooksAt =
    looks_at("flows of policies, configuration, artifacts, images or manifests", |view| {
        let steers = |d: &DataId| {
            let of = view.datum(*d).datum.of.as_deref();
            matches!(of, Some("policy" | "configuration" | "artifact" | "image" | "manifest"))
        };
        view.flows
            .iter()
            .filter(|f| f.carries.iter().chain(&f.returns).any(steers))
            .map(|of| whole(&of.flow.id))
            .collect()
    });
pub(crate) const AUDITED_FLOWS: LooksAt = looks_at("flows of data that state an `audit` level", |view| {
    let asks = |d: &DataId| view.datum(*d).datum.audit.is_some();
    let asking = view.flows.iter().filter(|f| f.carries.iter().chain(&f.returns).any(asks));
    moving(view, asking, |_, _| true)
});
pub(crate) const SECRETS: LooksAt = looks_at("secrets in use", |view| {
    let used = |of: &DataView<'_>| {
        !of.holders.is_empty() || !of.readers.is_empty() || !of.carried.is_empty() || !of.returned.is_empty()
    };
    secrets(view, used)
});
pub(crate) const TIMED_SECRETS: LooksAt =
    looks_at("secrets with a `ttl`", |view| secrets(view, |of| of.datum.ttl.is_some()));
pub(crate) const HELD_CREDENTIALS: LooksAt = looks_at("secrets that services hold and that open something", |view| {
    let service = |n: &NodeId| view.node(*n).node.kind == NodeKind::Service;
    secrets(view, |of| !of.opens.is_empty() && of.holders.iter().any(service))
});
pub(crate) const ADMIN_SECRETS: LooksAt = looks_at("secrets that open an administration", |view| {
    let admin = |n: &NodeId| view.node(*n).node.admin;
    secrets(view, |of| of.opens.iter().any(admin))
});
pub(crate) const KEYS: LooksAt = looks_at("private keys (`of: private-key`, `signing-key`, `ca-key`)", |view| {
    view.data.iter().filter(|d| is_key(d)).map(|of| whole(of.name)).collect()
});
pub(crate) const METADATA: LooksAt = looks_at("services outside Ward that answer with a secret", |view| {
    let answers = |id: NodeId| -> Vec<DataId> {
        let all = view.inbound(id).flat_map(|f| f.returns.iter().copied());
        all.filter(|d| view.class(*d) == Class::Secret).collect()
    };
    let services = view.nodes.iter().enumerate();
    let services = services.filter(|(_, of)| of.node.kind == NodeKind::Service && !of.node.under_ward());
    let found = services.map(|(id, of)| (of, answers(id))).filter(|(_, secrets)| !secrets.is_empty());
    found.map(|(of, secrets)| at_stake(of.name, view, secrets)).collect()
});
pub(crate) const LOGINS: LooksAt = looks_at("administrations, login ports, and stores with a login", |view| {
    let login = |of: &NodeView<'_>| {
        let store = of.keeps() && matches!(of.node.auth, Some(Auth::Password | Auth::Key));
        of.node.kind != NodeKind::Party && (of.node.admin || of.node.port.is_some() || store)
    };
    nodes(view, |_, of| login(of))
});
pub(crate) const ADMINISTERED: LooksAt =
    looks_at("administrations and login ports that people use, in zones that demand a second factor", |view| {
        nodes(view, |id, of| {
            let demanded = view.zone(of.node).is_some_and(|z| z.requires.iter().any(|r| r == "mfa"));
            let people = || view.inbound(id).any(|f| view.node(f.from).node.kind == NodeKind::Party);
            demanded && (of.node.admin || of.node.port.is_some()) && people()
        })
    });
pub(crate) const ENTRIES: LooksAt = looks_at("services that somebody in a zone without trust can send to", |view| {
    nodes(view, |id, of| {
        let outsider = |n: NodeId| view.node(n).node.kind == NodeKind::Party && view.node(n).trust == Trust::None;
        let entered = of.exposed.is_some() || view.inbound(id).any(|f| outsider(f.from));
        of.node.kind == NodeKind::Service && entered
    })
});
pub(crate) const CHILD_DATA_NODES: LooksAt = looks_at("nodes that data about a child come to", |view| {
    let child = |d: &DataId| view.datum(*d).datum.about.as_deref() == Some("child");
    let near = |id: NodeId, of: &NodeView<'_>| -> Vec<DataId> {
        let sent = view.inbound(id).flat_map(|f| f.carries.iter());
        let answered = view.outbound(id).flat_map(|f| f.returns.iter());
        let opens = of.holds.iter().flat_map(|s| view.datum(*s).opens.iter()).flat_map(|n| view.node(*n).holds.iter());
        let all = of.holds.iter().chain(&of.reads).chain(sent).chain(answered).chain(opens);
        let all: BTreeSet<DataId> = all.copied().filter(child).collect();
        all.into_iter().collect()
    };
    let all = view.nodes.iter().enumerate().filter(|(_, of)| of.node.role.is_none());
    let all = all.map(|(id, of)| (of, near(id, of))).filter(|(_, data)| !data.is_empty());
    all.map(|(of, data)| subject(of.name, data)).collect()
});
pub(crate) const COLLECTED: LooksAt = looks_at(
    "data about people that are carried, and kept or read, or carried to where it is said what is read",
    |view| {
        let judged = |id: DataId, of: &DataView<'_>| {
            let used =
                !of.holders.is_empty() || !of.readers.is_empty() || !of.returned.is_empty() || !of.copies.is_empty();
            let onward: BTreeSet<NodeId> = of.carried.iter().map(|f| view.flow(*f).from).collect();
            let mut ends = of.carried.iter().map(|f| view.flow(*f).to).filter(|n| !onward.contains(n)).peekable();
            let class = view.datum(id).datum.class;
            let kind = view.datum(id).datum.about.is_some() && class > Class::Public && class < Class::Secret;
            let said = ends.peek().is_some() && ends.all(|n| !view.node(n).reads.is_empty());
            kind && !of.carried.is_empty() && (used || said)
        };
        let all = view.data.iter().enumerate().filter(|(id, of)| judged(*id, of));
        all.map(|(id, of)| subject(of.name, vec![id])).collect()
    },
);
pub(crate) const RESIDENT_ZONES: LooksAt = looks_at("zones that data with a `residency` come to", |view| {
    let mut zones: std::collections::BTreeMap<&str, Vec<DataId>> = std::collections::BTreeMap::new();
    for (id, of) in view.nodes.iter().enumerate().filter(|(_, n)| n.node.kind != NodeKind::Party) {
        let sent = view.inbound(id).flat_map(|f| f.carries.iter());
        let answered = view.outbound(id).flat_map(|f| f.returns.iter());
        let near = of.holds.iter().chain(&of.reads).chain(sent).chain(answered).copied();
        let near: Vec<DataId> = near.filter(|d| !view.datum(*d).datum.residency.is_empty()).collect();
        if near.is_empty() {
            continue;
        }
        // Where no region is stated, the outermost zone around is the one that could state it.
        let zone = match view.zone(of.node).and_then(|z| z.region.as_deref()) {
            Some(_) => Some(&of.node.zone),
            None => view.zones_around(&of.node.zone).last(),
        };
        if let Some(zone) = zone {
            zones.entry(zone.as_str()).or_default().extend(near);
        }
    }
    zones.into_iter().map(|(zone, data)| subject(zone, data)).collect()
});
pub(crate) const WARD_NODES: LooksAt =
    looks_at("nodes under Ward", |view| nodes(view, |_, of| of.node.under_ward() && of.node.role.is_none()));
pub(crate) const ENFORCING: LooksAt = looks_at("nodes under Ward, and their mesh", |view| {
    let mut all = nodes(view, |_, of| of.node.under_ward());
    if !all.is_empty() {
        all.push(whole("ward.yaml"));
    }
    all
});
pub(crate) const MESH: LooksAt = looks_at("a mesh of nodes under Ward", |view| {
    view.nodes.iter().find(|n| n.node.under_ward()).map(|_| whole("ward.yaml")).into_iter().collect()
});
pub(crate) const ENFORCED_WORDS: LooksAt = looks_at("flows and nodes that Ward enforces", |view| {
    let ward = |n: NodeId| view.node(n).node.under_ward();
    let flows = view.flows.iter().filter(|f| ward(f.from) || ward(f.to));
    let mut all = moving(view, flows, |_, _| true);
    all.extend(nodes(view, |_, of| match of.node.kind {
        NodeKind::Party => matches!(of.node.auth, Some(Auth::Mtls | Auth::Jwt | Auth::Oidc)),
        _ => of.node.under_ward(),
    }));
    all
});
pub(crate) const RUNNING: LooksAt =
    looks_at("services and stores", |view| nodes(view, |_, of| of.node.kind != NodeKind::Party));
pub(crate) const DETECTORS: LooksAt = looks_at("services that are sent logs and raise alerts", |view| {
    let of = |d: &DataId, kinds: &[&str]| view.datum(*d).datum.of.as_deref().is_some_and(|of| kinds.contains(&of));
    let all = view.nodes.iter().enumerate().filter(|(id, node)| {
        node.node.kind == NodeKind::Service
            && view.inbound(*id).any(|f| f.carries.iter().any(|d| of(d, &["log", "event", "telemetry"])))
            && view.outbound(*id).any(|f| f.carries.iter().any(|d| of(d, &["alert"])))
    });
    all.map(|(_, node)| whole(node.name)).collect()
});
pub(crate) const DRILLS: LooksAt = looks_at("emergencies that state how often they are drilled", |view| {
    view.model.emergencies.iter().filter(|(_, e)| e.drill.is_some()).map(|(name, _)| whole(name)).collect()
});
pub(crate) const WAIVERS: LooksAt =
    looks_at("waivers", |view| view.model.waivers.iter().map(|w| whole(&w.id)).collect());

fn whole(id: impl ToString) -> Subject {
    Subject { id: id.to_string(), data: None }
}

fn subject(id: impl ToString, data: Vec<DataId>) -> Subject {
    Subject { id: id.to_string(), data: (!data.is_empty()).then_some(data) }
}

/// Something that secrets lead to: the data behind them are at stake as well, all data where an administration is.
fn at_stake(id: impl ToString, view: &View<'_>, secrets: Vec<DataId>) -> Subject {
    let admin = secrets.iter().flat_map(|s| view.datum(*s).opens.iter()).any(|n| view.node(*n).node.admin);
    if admin { whole(id) } else { subject(id, opened(view, secrets)) }
}

/// Data, and what those of them that are secrets open.
fn opened(view: &View<'_>, data: impl IntoIterator<Item = DataId>) -> Vec<DataId> {
    let mut all: BTreeSet<DataId> = BTreeSet::new();
    for datum in data {
        all.insert(datum);
        all.extend(view.datum(datum).opens.iter().flat_map(|n| view.node(*n).holds.iter().copied()));
    }
    all.into_iter().collect()
}

/// Everything that a node keeps, reads, is sent or answers with.
fn touched(view: &View<'_>, id: NodeId) -> Vec<DataId> {
    let of = view.node(id);
    let moved = view.inbound(id).chain(view.outbound(id)).flat_map(|f| f.carries.iter().chain(&f.returns));
    opened(view, of.holds.iter().chain(&of.reads).chain(moved).copied())
}

fn nodes(view: &View<'_>, wanted: impl Fn(NodeId, &NodeView<'_>) -> bool) -> Vec<Subject> {
    let all = view.nodes.iter().enumerate().filter(|(id, of)| wanted(*id, of));
    let one = |(id, of): (NodeId, &NodeView<'_>)| match of.node.admin {
        true => whole(of.name),
        false => subject(of.name, touched(view, id)),
    };
    all.map(one).collect()
}

fn stores(view: &View<'_>, least: Class) -> Vec<Subject> {
    let keeping = view.nodes.iter().filter(|n| n.keeps());
    let held =
        |of: &NodeView<'_>| -> Vec<DataId> { of.holds.iter().copied().filter(|d| view.class(*d) >= least).collect() };
    let keeping = keeping.map(|of| (of, held(of))).filter(|(_, held)| !held.is_empty());
    keeping.map(|(of, held)| subject(of.name, opened(view, held))).collect()
}

fn secrets(view: &View<'_>, wanted: impl Fn(&DataView<'_>) -> bool) -> Vec<Subject> {
    let all = view.data.iter().enumerate().filter(|(_, of)| of.datum.class == Class::Secret && wanted(of));
    all.map(|(id, of)| at_stake(of.name, view, vec![id])).collect()
}

fn flows(
    view: &View<'_>,
    counts: impl Fn(&View<'_>, DataId) -> bool,
    wanted: impl Fn(&FlowView<'_>) -> bool,
) -> Vec<Subject> {
    moving(view, view.flows.iter().filter(|f| wanted(f)), counts)
}

/// Flows that move something of a kind.
fn moving<'v, 'm: 'v>(
    view: &View<'_>,
    flows: impl Iterator<Item = &'v FlowView<'m>>,
    counts: impl Fn(&View<'_>, DataId) -> bool,
) -> Vec<Subject> {
    let moved = |of: &FlowView<'_>| -> Vec<DataId> {
        of.carries.iter().chain(&of.returns).copied().filter(|d| counts(view, *d)).collect()
    };
    let all = flows.map(|of| (of, moved(of))).filter(|(_, moved)| !moved.is_empty());
    all.map(|(of, moved)| subject(&of.flow.id, opened(view, moved))).collect()
}

fn is_key(of: &DataView<'_>) -> bool {
    of.datum.class == Class::Secret && matches!(of.datum.of.as_deref(), Some("private-key" | "signing-key" | "ca-key"))
}

#[cfg(test)]
mod tests;
