//! Accounts: which service account comes to which power, by its bindings, those of its groups, and what those powers let it
//! act as in turn.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    object::{Object, labels, selects},
    rbac::{Power, Powers, Rule, Scope, powers},
};

/// A service account: namespace and name.
pub(super) type Account = (String, String);

/// Who has which power.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// Of each account that has any.
    pub(super) powers: BTreeMap<Account, Powers>,
    /// Of whoever proves nothing.
    pub(super) anonymous: Powers,
    /// People and groups that administer the cluster: `User jane`.
    pub(super) people: BTreeSet<String>,
    /// Bindings to roles that are not in what was read: place, binding, role.
    pub(super) unknown: Vec<(String, String, String)>,
}

/// Somebody a role is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Subject {
    Account(Account),
    Group(String),
    User(String),
}

/// Rules by where they hold.
type Bound<'a> = BTreeMap<Scope, Vec<Rule<'a>>>;

impl Accounts {
    /// Works out the powers of some accounts: those of workloads, besides those that bindings name.
    pub(super) fn new(objects: &[Object<'_>], used: &BTreeSet<Account>) -> Self {
        let mut all = Self::default();
        let bound = all.bindings(objects);
        let mut known: BTreeSet<Account> = used.clone();
        for object in objects.iter().filter(|o| o.kind == "ServiceAccount") {
            known.insert((object.namespace.to_owned(), object.name.to_owned()));
        }
        known.extend(bound.keys().filter_map(|s| match s {
            Subject::Account(account) => Some(account.clone()),
            _ => None,
        }));
        let group = |name: &str| Subject::Group(name.to_owned());
        for account in known {
            let own = [
                Subject::Account(account.clone()),
                group("system:serviceaccounts"),
                group(&format!("system:serviceaccounts:{}", account.0)),
                group("system:authenticated"),
            ];
            let powers = of(own.iter().filter_map(|s| bound.get(s)));
            if !powers.is_empty() {
                all.powers.insert(account, powers);
            }
        }
        let nobody = [group("system:unauthenticated"), Subject::User("system:anonymous".to_owned())];
        all.anonymous = of(nobody.iter().filter_map(|s| bound.get(s)));
        for (subject, rules) in &bound {
            let who = match subject {
                Subject::User(name) if !name.starts_with("system:") => format!("User {name}"),
                Subject::Group(name) if !name.starts_with("system:") => format!("Group {name}"),
                _ => continue,
            };
            if of(std::iter::once(rules)).contains_key(&Power::Admin(Scope::Cluster)) {
                all.people.insert(who);
            }
        }
        all.follow(&bound);
        all.powers.values_mut().for_each(settle);
        settle(&mut all.anonymous);
        all
    }

    /// The rules of each subject.
    fn bindings<'a>(&mut self, objects: &[Object<'a>]) -> HashMap<Subject, Bound<'a>> {
        let roles = roles(objects);
        let mut bound: HashMap<Subject, Bound<'a>> = HashMap::new();
        for binding in objects.iter().filter(|o| matches!(o.kind, "RoleBinding" | "ClusterRoleBinding")) {
            let (kind, name) = (binding.tree.text_at(&["roleRef", "kind"]), binding.tree.text_at(&["roleRef", "name"]));
            let (Some(kind), Some(name)) = (kind, name) else { continue };
            let cluster = binding.kind == "ClusterRoleBinding";
            let key = if kind == "Role" { (binding.namespace, name) } else { ("", name) };
            let Some(rules) = roles.get(&key) else {
                // What the cluster brings along reads at most what everybody may read.
                if !name.starts_with("system:") && !matches!(name, "view" | "extension-apiserver-authentication-reader")
                {
                    let title = if cluster { format!("{} {}", binding.kind, binding.name) } else { binding.title() };
                    self.unknown.push((binding.place(), title, format!("{kind} {name}")));
                }
                continue;
            };
            let scope = if cluster { Scope::Cluster } else { Scope::Namespace(binding.namespace.to_owned()) };
            for tree in binding.tree.items_at(&["subjects"]) {
                let Some(subject) = subject(tree, binding.namespace) else { continue };
                let rules = rules.iter().cloned();
                bound.entry(subject).or_default().entry(scope.clone()).or_default().extend(rules);
            }
        }
        bound
    }

    /// What powers to act as others add, until nothing is added.
    fn follow(&mut self, bound: &HashMap<Subject, Bound<'_>>) {
        let people = |kind: &str, name: &str| {
            let name = name.to_owned();
            bound.get(&if kind == "User" { Subject::User(name) } else { Subject::Group(name) })
        };
        loop {
            let mut more: Vec<(Account, Power, super::rbac::Why)> = Vec::new();
            for (account, own) in &self.powers {
                for (power, why) in own {
                    let others: Vec<&Powers> = match power {
                        Power::Tokens(ns) => {
                            let from = (ns.clone(), String::new());
                            self.powers.range(from..).take_while(|((n, _), _)| n == ns).map(|(_, p)| p).collect()
                        }
                        Power::Token(ns, name) => self.powers.get(&(ns.clone(), name.clone())).into_iter().collect(),
                        _ => Vec::new(),
                    };
                    let as_person = match power {
                        Power::Impersonate(kind, name) => people(kind, name).map(|r| of(std::iter::once(r))),
                        _ => None,
                    };
                    for gained in others.into_iter().chain(&as_person).flat_map(BTreeMap::keys) {
                        if !own.contains_key(gained) {
                            more.push((account.clone(), gained.clone(), why.clone()));
                        }
                    }
                }
            }
            if more.is_empty() {
                return;
            }
            for (account, power, why) in more {
                self.powers.entry(account).or_default().entry(power).or_insert(why);
            }
        }
    }
}

/// Powers of rules bound in several places. What is allowed everywhere is allowed in each namespace too.
fn of<'r, 'a: 'r>(bound: impl Iterator<Item = &'r Bound<'a>>) -> Powers {
    let mut all: Bound<'a> = BTreeMap::new();
    for rules in bound {
        for (scope, rules) in rules {
            all.entry(scope.clone()).or_default().extend(rules.iter().cloned());
        }
    }
    let everywhere = all.get(&Scope::Cluster).cloned().unwrap_or_default();
    let mut found = Powers::new();
    for (scope, mut rules) in all {
        if scope != Scope::Cluster {
            rules.extend(everywhere.iter().cloned());
        }
        for (power, why) in powers(&rules, &scope) {
            found.entry(power).or_insert(why);
        }
    }
    found
}

/// What a greater power makes needless to say is left away.
fn settle(all: &mut Powers) {
    // Whoever runs pods there runs them beside the controllers of the cluster, under their accounts.
    if let Some(why) = all.remove(&Power::Admin(Scope::Namespace("kube-system".to_owned()))) {
        all.entry(Power::Admin(Scope::Cluster)).or_insert(why);
    }
    let (admin, reads) = (Power::Admin(Scope::Cluster), Power::ReadSecrets(Scope::Cluster));
    if all.contains_key(&admin) {
        return all.retain(|p, _| *p == admin);
    }
    let rules: BTreeSet<String> = all
        .keys()
        .filter_map(|p| match p {
            Power::Admin(Scope::Namespace(ns)) => Some(ns.clone()),
            _ => None,
        })
        .collect();
    let everywhere = all.contains_key(&reads);
    let read: BTreeSet<String> = all
        .keys()
        .filter_map(|p| match p {
            Power::ReadSecrets(Scope::Namespace(ns)) => Some(ns.clone()),
            _ => None,
        })
        .collect();
    all.retain(|power, _| match power {
        Power::Admin(_) | Power::ReadSecrets(Scope::Cluster) => true,
        Power::ReadSecrets(Scope::Namespace(ns)) => !everywhere && !rules.contains(ns),
        Power::ReadSecret(ns, _) => !everywhere && !rules.contains(ns) && !read.contains(ns),
        // Their powers were added; by themselves they are none.
        Power::Tokens(_) | Power::Token(..) | Power::Impersonate(..) => false,
    });
}

fn subject(tree: &model::tree::Tree, namespace: &str) -> Option<Subject> {
    let name = tree.text_at(&["name"])?;
    Some(match tree.text_at(&["kind"])? {
        "ServiceAccount" => {
            Subject::Account((tree.text_at(&["namespace"]).unwrap_or(namespace).to_owned(), name.to_owned()))
        }
        "Group" => Subject::Group(name.to_owned()),
        "User" => match name.strip_prefix("system:serviceaccount:").and_then(|n| n.split_once(':')) {
            Some((ns, name)) => Subject::Account((ns.to_owned(), name.to_owned())),
            None => Subject::User(name.to_owned()),
        },
        _ => return None,
    })
}

/// Roles by namespace (none for a ClusterRole) and name: those that every cluster has, and those that were read.
fn roles<'a>(objects: &[Object<'a>]) -> HashMap<(&'a str, &'a str), Vec<Rule<'a>>> {
    let mut roles: HashMap<(&str, &str), Vec<Rule<'_>>> = HashMap::new();
    let all = &["*"];
    roles.insert(("", "cluster-admin"), vec![Rule::built_in(all, all, all)]);
    let write = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    // Of what these may do, what counts here.
    let edit = [
        Rule::built_in(
            write,
            &[""],
            &["pods", "pods/attach", "pods/exec", "secrets", "configmaps", "services", "replicationcontrollers"],
        ),
        Rule::built_in(&["create", "impersonate"], &[""], &["serviceaccounts", "serviceaccounts/token"]),
        Rule::built_in(write, &["apps"], &["daemonsets", "deployments", "replicasets", "statefulsets"]),
        Rule::built_in(write, &["batch"], &["cronjobs", "jobs"]),
    ];
    // That a built-in role names a resource says nothing about what its holder needs.
    let unnamed = edit.map(Rule::unnamed);
    roles.insert(("", "edit"), unnamed.to_vec());
    roles.insert(("", "admin"), unnamed.to_vec());
    for object in objects.iter().filter(|o| matches!(o.kind, "Role" | "ClusterRole")) {
        let rules = object.tree.items_at(&["rules"]).iter().map(Rule::new);
        let namespace = if object.kind == "Role" { object.namespace } else { "" };
        roles.insert((namespace, object.name), rules.collect());
    }
    // An aggregated role has the rules of those that it selects, which may be aggregated in turn.
    let parts: Vec<&Object<'_>> = objects.iter().filter(|o| o.kind == "ClusterRole").collect();
    let mut wholes: Vec<(&str, Vec<&str>)> = Vec::new();
    for whole in &parts {
        let selectors = whole.tree.items_at(&["aggregationRule", "clusterRoleSelectors"]);
        let chosen = |part: &&&Object<'_>| {
            let own = labels(part.tree.at(&["metadata", "labels"]));
            part.name != whole.name && selectors.iter().any(|s| selects(s, &own))
        };
        wholes.push((whole.name, parts.iter().filter(chosen).map(|p| p.name).collect()));
    }
    for built_in in ["admin", "edit"] {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{built_in}");
        let chosen = |part: &&&Object<'_>| part.labels().iter().any(|(k, v)| *k == label && *v == "true");
        wholes.push((built_in, parts.iter().filter(chosen).map(|p| p.name).collect()));
    }
    // Twice: aggregation of what is aggregated is as deep as anybody goes.
    for _ in 0..2 {
        for (whole, parts) in &wholes {
            let more: Vec<Rule<'_>> = parts.iter().filter_map(|p| roles.get(&("", *p))).flatten().cloned().collect();
            roles.entry(("", whole)).or_default().extend(more);
        }
    }
    roles
}
