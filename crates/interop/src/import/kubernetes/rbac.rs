//! What the rules of a role amount to: administration of the cluster or of a namespace, or reading secrets. Rules that allow
//! less are no power here.
//!
//! After the Kubernetes documentation's good practices of RBAC: what each verb on each resource lets its holder come to.
use std::collections::BTreeMap;

use model::tree::Tree;

/// Where a role holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Everywhere.
    Cluster,
    /// In one namespace.
    Namespace(String),
}

/// What a role comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Power {
    /// Whoever has it can do anything there.
    Admin(Scope),
    /// Reads every secret there.
    ReadSecrets(Scope),
    /// Reads one secret: namespace, or `ANYWHERE`, and name.
    ReadSecret(String, String),
    /// Gets a token of any service account there: has all their powers.
    Tokens(String),
    /// Acts as one service account.
    Token(String, String),
    /// Acts as a user or group.
    Impersonate(&'static str, String),
}

/// Why somebody has a power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    /// In words: `create pods`.
    pub(super) words: String,
    /// Whether a rule names the resource: somebody thought of it. A wildcard and a built-in role name nothing.
    pub(super) named: bool,
}

/// A rule of a role.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule<'a> {
    verbs: Vec<&'a str>,
    groups: Vec<&'a str>,
    resources: Vec<&'a str>,
    names: Vec<&'a str>,
    /// Whether naming a resource says that it is needed.
    thought_of: bool,
}

/// Powers, each with the first reason found.
pub(super) type Powers = BTreeMap<Power, Why>;

/// In place of a namespace: in every one.
pub(super) const ANYWHERE: &str = "*";

const RBAC: &str = "rbac.authorization.k8s.io";
const HOOKS: &str = "admissionregistration.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const WRITE: &[&str] = &["create", "update", "patch"];
const CHANGE: &[&str] = &["update", "patch"];
const READ: &[&str] = &["get", "list", "watch"];

/// Ways to run a container of one's own choice: verbs, group, resources. The template of a job cannot be changed later.
const RUNS: &[(&[&str], &str, &[&str])] = &[
    (&["create"], "", &["pods"]),
    (WRITE, "apps", &["deployments", "daemonsets", "statefulsets", "replicasets"]),
    (WRITE, "", &["replicationcontrollers"]),
    (WRITE, "batch", &["cronjobs"]),
    (&["create"], "batch", &["jobs"]),
    (&["create"], "", &["pods/exec", "pods/attach"]),
    (CHANGE, "", &["pods", "pods/ephemeralcontainers"]),
];

impl<'a> Rule<'a> {
    /// A rule that is known without a document.
    pub(super) fn built_in(verbs: &[&'a str], groups: &[&'a str], resources: &[&'a str]) -> Self {
        let list = |l: &[&'a str]| l.to_vec();
        Self {
            verbs: list(verbs),
            groups: list(groups),
            resources: list(resources),
            names: Vec::new(),
            thought_of: true,
        }
    }

    /// The same rule in a role that everybody has, where it says nothing of what its holder needs.
    pub(super) fn unnamed(self) -> Self {
        Self { thought_of: false, ..self }
    }

    /// A rule as written.
    pub(super) fn new(tree: &'a Tree) -> Self {
        let texts = |key| tree.items_at(&[key]).iter().filter_map(Tree::text).collect();
        Self {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            thought_of: true,
        }
    }

    fn any(list: &[&str], wanted: &str) -> bool {
        list.iter().any(|w| *w == "*" || *w == wanted)
    }

    fn covers(&self, verb: &str, group: &str, resource: &str) -> bool {
        let sub = resource.split_once('/').map(|(_, sub)| sub);
        let of = |r: &str| r == "*" || r == resource || sub.is_some_and(|s| r.strip_prefix("*/") == Some(s));
        Self::any(&self.verbs, verb) && Self::any(&self.groups, group) && self.resources.iter().any(|r| of(r))
    }

    /// Whether it allows this of every object. A rule with names allows nothing that has no name yet.
    fn allows(&self, verb: &str, group: &str, resource: &str) -> bool {
        self.names.is_empty() && self.covers(verb, group, resource)
    }

    fn is_named(&self, resource: &str) -> bool {
        self.thought_of && self.resources.contains(&resource)
    }
}

/// Rules asked together: some powers need two of them.
struct Asked<'r, 'a> {
    rules: &'r [Rule<'a>],
    powers: Powers,
}

impl Asked<'_, '_> {
    /// The first of some verbs that is allowed, in words, and whether a rule names it.
    fn may(&self, verbs: &[&str], group: &str, resource: &str) -> Option<Why> {
        self.find(verbs, resource, |rule, verb| rule.allows(verb, group, resource))
    }

    /// The same of one object at least.
    fn may_some(&self, verbs: &[&str], group: &str, resource: &str) -> Option<Why> {
        self.find(verbs, resource, |rule, verb| rule.covers(verb, group, resource))
    }

    fn find(&self, verbs: &[&str], resource: &str, allows: impl Fn(&Rule<'_>, &str) -> bool) -> Option<Why> {
        let pairs = || verbs.iter().flat_map(|v| self.rules.iter().map(move |r| (*v, r)));
        let why = |verb: &str, named| {
            let words = if named {
                format!("{verb} {resource}")
            } else {
                format!("{verb} {resource}, by a wildcard or a built-in role")
            };
            Why { words, named }
        };
        let named = pairs().find(|(v, r)| allows(r, v) && r.is_named(resource));
        named.map(|(v, _)| why(v, true)).or_else(|| pairs().find(|(v, r)| allows(r, v)).map(|(v, _)| why(v, false)))
    }

    /// A WebSocket opens with GET, so that `get` was enough until Kubernetes 1.35. It counts where the resource is named: a role
    /// that reads everything is meant to read.
    fn streams(&self, resource: &str) -> Option<Why> {
        let stream = ["pods/exec", "pods/attach", "nodes/proxy"].contains(&resource);
        self.may(&["get"], "", resource).filter(|why| stream && why.named)
    }

    fn put(&mut self, power: Power, why: Option<Why>) {
        if let Some(why) = why {
            self.powers.entry(power).or_insert(why);
        }
    }

    /// Names that a rule allows a verb of.
    fn names(&self, verbs: &[&str], group: &str, resource: &str) -> Vec<(String, Why)> {
        let mut all = Vec::new();
        for rule in self.rules.iter().filter(|r| !r.names.is_empty()) {
            if let Some(verb) = verbs.iter().find(|v| rule.covers(v, group, resource)) {
                let why = |n: &str| Why { words: format!("{verb} {resource} {n}"), named: true };
                all.extend(rule.names.iter().map(|n| ((*n).to_owned(), why(n))));
            }
        }
        all
    }
}

/// What some rules come to where they are bound.
pub(super) fn powers(rules: &[Rule<'_>], scope: &Scope) -> Powers {
    let mut asked = Asked { rules, powers: Powers::new() };
    let admin = || Power::Admin(scope.clone());
    let all = |list: &Vec<&str>| list.contains(&"*");
    let everything = rules.iter().find(|r| r.names.is_empty() && all(&r.verbs) && all(&r.groups) && all(&r.resources));
    asked.put(admin(), everything.map(|_| Why { words: "`*` on `*`".to_owned(), named: false }));
    roles(&mut asked, scope, &admin());
    for (verbs, group, resources) in RUNS {
        for resource in *resources {
            // A changed workload runs what it is told to, under any account of its namespace; a pod of a name is only itself.
            let one = *group == "apps" || *resource == "cronjobs" || *resource == "replicationcontrollers";
            let why = if one { asked.may_some(CHANGE, group, resource) } else { None };
            let why = asked.may(verbs, group, resource).or(why).or_else(|| asked.streams(resource));
            asked.put(admin(), why);
        }
    }
    secrets_and_tokens(&mut asked, scope);
    if *scope == Scope::Cluster {
        cluster_wide(&mut asked);
    }
    asked.powers
}

/// Roles that are made or bound beyond what one has: the API server refuses it without `escalate` or `bind`.
fn roles(asked: &mut Asked<'_, '_>, scope: &Scope, admin: &Power) {
    let (kinds, bindings): (&[&str], &[&str]) = match scope {
        Scope::Cluster => (&["clusterroles", "roles"], &["clusterrolebindings", "rolebindings"]),
        Scope::Namespace(_) => (&["roles"], &["rolebindings"]),
    };
    for kind in kinds {
        if asked.may_some(WRITE, RBAC, kind).is_some() {
            let why = asked.may(&["escalate"], RBAC, kind);
            asked.put(admin.clone(), why);
        }
    }
    if bindings.iter().any(|b| asked.may_some(WRITE, RBAC, b).is_some()) {
        for kind in ["clusterroles", "roles"] {
            let why = asked.may(&["bind"], RBAC, kind);
            asked.put(admin.clone(), why);
            for (name, why) in asked.names(&["bind"], RBAC, kind) {
                if ["cluster-admin", "admin", "edit"].contains(&name.as_str()) {
                    asked.put(admin.clone(), Some(why));
                }
            }
        }
    }
}

fn secrets_and_tokens(asked: &mut Asked<'_, '_>, scope: &Scope) {
    let tokens = match scope {
        Scope::Cluster => Power::Admin(Scope::Cluster),
        Scope::Namespace(ns) => Power::Tokens(ns.clone()),
    };
    let read = asked.may(READ, "", "secrets");
    if let (Some(read), Some(make)) = (&read, asked.may(&["create"], "", "secrets")) {
        // A Secret of type service-account-token is filled in by the cluster.
        let words = format!("{} and {}", make.words, read.words);
        asked.put(tokens.clone(), Some(Why { words, named: read.named && make.named }));
    }
    asked.put(Power::ReadSecrets(scope.clone()), read);
    let why = asked.may(&["create"], "", "serviceaccounts/token");
    asked.put(tokens.clone(), why);
    let why = asked.may(&["impersonate"], "", "serviceaccounts");
    asked.put(tokens, why);
    let place = match scope {
        Scope::Cluster => ANYWHERE,
        Scope::Namespace(ns) => ns,
    };
    for (name, why) in asked.names(READ, "", "secrets") {
        asked.put(Power::ReadSecret(place.to_owned(), name), Some(why));
    }
    if let Scope::Namespace(ns) = scope {
        let mut as_one = asked.names(&["create"], "", "serviceaccounts/token");
        as_one.extend(asked.names(&["impersonate"], "", "serviceaccounts"));
        for (name, why) in as_one {
            asked.put(Power::Token(ns.clone(), name), Some(why));
        }
    }
}

fn cluster_wide(asked: &mut Asked<'_, '_>) {
    let admin = Power::Admin(Scope::Cluster);
    for resource in ["users", "groups"] {
        let why = asked.may(&["impersonate"], "", resource);
        asked.put(admin.clone(), why);
    }
    for (resource, kind) in [("users", "User"), ("groups", "Group")] {
        for (name, why) in asked.names(&["impersonate"], "", resource) {
            if name == "system:masters" {
                asked.put(admin.clone(), Some(why));
            } else {
                asked.put(Power::Impersonate(kind, name), Some(why));
            }
        }
    }
    // The kubelet runs commands in every container of its machine.
    let why = asked.may(&["create"], "", "nodes/proxy").or_else(|| asked.streams("nodes/proxy"));
    asked.put(admin.clone(), why);
    let why = asked.may_some(CHANGE, HOOKS, "mutatingwebhookconfigurations");
    let why = why.or_else(|| asked.may(&["create"], HOOKS, "mutatingwebhookconfigurations"));
    asked.put(admin.clone(), why);
    // It is shown every object that is written, secrets among them.
    let why = asked.may_some(CHANGE, HOOKS, "validatingwebhookconfigurations");
    let why = why.or_else(|| asked.may(&["create"], HOOKS, "validatingwebhookconfigurations"));
    asked.put(Power::ReadSecrets(Scope::Cluster), why);
    let approve = asked.may(CHANGE, CERTIFICATES, "certificatesigningrequests/approval");
    let sign = asked.may_some(&["approve"], CERTIFICATES, "signers");
    if let (Some(_), Some(approve), Some(_)) =
        (asked.may(&["create"], CERTIFICATES, "certificatesigningrequests"), approve, sign)
    {
        asked.put(admin, Some(approve));
    }
}

#[cfg(test)]
mod tests;
