//! Which nodes of a model are workloads of the cluster that an export is for, and what they are called there.
use std::{collections::BTreeSet, time::Duration};

use model::{Flow, Mode, Model, Name, Node, NodeKind, Role, Trust, TrustDomain};

use super::{ExportError, Note};

/// Which nodes are workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workloads {
    /// Those under Ward.
    UnderWard,
    /// Every service and store, but those with `endpoints` and those in zones without trust.
    All,
}

/// What the caller asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which nodes; absent is those under Ward if there are any, else all.
    pub workloads: Option<Workloads>,
    /// Nodes that do not run in the cluster, whatever `workloads` says.
    pub outside: Vec<String>,
    /// One namespace for all of them, in place of their own.
    pub namespace: Option<Name>,
    /// The trust domain of the mesh there, in place of the model's.
    pub trust_domain: Option<TrustDomain>,
}

/// A model as it stands in the cluster. Invariant: a node is a workload of the cluster exactly if it is under Ward in
/// `model`, which has no hand-written documents: they are exported by themselves.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// With the namespaces and the trust domain of the cluster.
    pub model: Model,
    pub(super) choice: Choice,
    pub(super) notes: Vec<Note>,
}

/// The model as it stands in the cluster.
///
/// # Errors
/// `outside` names a node that is not there, or no node is left.
pub fn cluster(model: &Model, choice: Choice) -> Result<Cluster, ExportError> {
    let mut outside = BTreeSet::new();
    for name in &choice.outside {
        let Some((name, _)) = model.nodes.get_key_value(name.as_str()) else {
            let near = model::closest(name, model.nodes.keys().map(Name::as_str)).map(str::to_owned);
            return Err(ExportError::UnknownNode { name: name.clone(), near });
        };
        outside.insert(name.clone());
    }
    let mut notes = Vec::new();
    let workloads = choice.workloads.unwrap_or_else(|| {
        if model.nodes.values().any(Node::under_ward) {
            return Workloads::UnderWard;
        }
        let why = "every service and store is taken for a workload of the cluster, but those with `endpoints` and those in zones \
                   without trust; --outside names others";
        notes.push(Note::new("the model", "no node is under Ward", why));
        Workloads::All
    });
    let mut inside = model.clone();
    for (name, node) in &mut inside.nodes {
        let chosen = match workloads {
            Workloads::UnderWard => node.under_ward(),
            Workloads::All => node.under_ward() || is_workload(model, node),
        };
        if !chosen || outside.contains(name) {
            (node.run, node.attest, node.role) = (None, None, None);
            continue;
        }
        if !node.under_ward() {
            node.attest = Some("cluster".to_owned());
        }
        if let Some(namespace) = &choice.namespace {
            node.namespace = namespace.clone();
        }
    }
    if !inside.nodes.values().any(Node::under_ward) {
        return Err(ExportError::NoWorkload);
    }
    if let Some(domain) = &choice.trust_domain {
        inside.trust_domain = domain.clone();
    }
    (inside.policies, inside.authentications) = (Vec::new(), Vec::new());
    Ok(Cluster { model: inside, choice, notes })
}

fn is_workload(model: &Model, node: &Node) -> bool {
    let trusted = model.zones.get(&node.zone).is_none_or(|zone| zone.trust != Trust::None);
    node.kind != NodeKind::Party && node.endpoints.is_empty() && trusted
}

impl Cluster {
    /// The workloads, in order of name.
    pub fn workloads(&self) -> impl Iterator<Item = (&Name, &Node)> {
        self.model.nodes.iter().filter(|(_, node)| node.under_ward())
    }

    /// Their namespaces, in order.
    pub fn namespaces(&self) -> BTreeSet<&Name> {
        self.workloads().map(|(_, node)| &node.namespace).collect()
    }

    /// Whether a node is a workload.
    pub(super) fn holds(&self, node: &Name) -> bool {
        self.model.nodes.get(node).is_some_and(Node::under_ward)
    }

    /// Whether decisions about a node are only recorded.
    pub(super) fn is_dry_run(&self, node: &Node) -> bool {
        node.mode.unwrap_or(self.model.mesh.mode) == Mode::DryRun
    }

    /// The ports of its target that a flow may use: those of a gateway's listeners, and for callers from the cluster those
    /// that it serves.
    pub(super) fn ports(&self, flow: &Flow) -> Vec<u16> {
        let Some(target) = self.model.nodes.get(&flow.to) else { return Vec::new() };
        let picked = |port: &u16| flow.via.port.is_none_or(|wanted| wanted == *port);
        let mut ports: Vec<u16> = target.listen.iter().map(|listen| listen.port).filter(picked).collect();
        if target.role != Some(Role::Gateway) || self.holds(&flow.from) {
            ports.extend(self.model.ports_of(flow).map(|serve| serve.port));
        }
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// What of flows neither policies nor addresses can say.
pub(super) fn flow_notes(flow: &Flow) -> Vec<Note> {
    let subject = format!("flow {}", flow.id);
    let mut notes = Vec::new();
    let mut note = |what: String, why: &str| notes.push(Note::new(subject.clone(), what, why));
    if let Some(limit) = &flow.via.limit {
        note(format!("limit: {limit}"), "requests are not counted");
    }
    if let Some(audit) = flow.via.audit.filter(|audit| *audit >= model::Audit::High) {
        let word = format!("audit: {}", audit_word(audit));
        match audit {
            model::Audit::High => note(word, "decisions are not recorded: switch access logs on"),
            _ => note(word, "decisions are not recorded, and a request passes without a record: switch access logs on"),
        }
    }
    for (word, why) in [("transform", "data passes unchanged"), ("region", "traffic is not kept in the region")] {
        if let Some(value) = flow.via.words.get(word) {
            note(format!("{word}: {}", word_text(value)), why);
        }
    }
    notes
}

pub(super) fn audit_word(audit: model::Audit) -> &'static str {
    match audit {
        model::Audit::Low => "low",
        model::Audit::Medium => "medium",
        model::Audit::High => "high",
        model::Audit::Strict => "strict",
        model::Audit::Critical => "critical",
    }
}

/// A time as a model says it: `90d`, `1h`.
pub(super) fn duration_text(time: Duration) -> String {
    let seconds = time.as_secs();
    if time.subsec_millis() > 0 {
        return format!("{}ms", time.as_millis());
    }
    let units = [(24 * 60 * 60, 'd'), (60 * 60, 'h'), (60, 'm')];
    let fits = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{seconds}s"), |(unit, word)| format!("{}{word}", seconds / unit))
}

/// A word of `via` as it is written.
pub(super) fn word_text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What is said once about a model: nothing of it is active in an export.
pub(super) fn standby_notes(model: &Model) -> Vec<Note> {
    let standby = model.flows.iter().filter(|flow| flow.standby);
    let flows = standby.map(|flow| {
        Note::new(
            format!("flow {}", flow.id),
            "standby: true",
            "it stays shut: an emergency that opens it is Ward's own",
        )
    });
    flows.collect()
}
