//! Accounts in the model: a service account with power is a secret that its workloads hold, and it opens what it administers
//! or reads. One without power is none.
use std::collections::{BTreeMap, BTreeSet};

use super::{
    Modelling,
    account::{Account, Accounts},
    rbac::{ANYWHERE, Power, Powers, Scope, Why},
};
use crate::draft::{Draft, Kind};

/// Who has which token, and what the tokens are good for.
pub(super) struct Held {
    pub(super) accounts: Accounts,
    /// Workloads by the account whose token they have.
    pub(super) holders: BTreeMap<Account, Vec<usize>>,
}

/// Annotations that let an account act as an identity of a cloud: the annotation, and the prefix of the identity's key.
const IDENTITIES: &[(&str, &str, &str)] = &[
    ("eks.amazonaws.com/role-arn", "aws:iam-role:", "role"),
    ("iam.gke.io/gcp-service-account", "gcp:service-account:", "account"),
    ("azure.workload.identity/client-id", "azure:identity:", "identity"),
];

impl Held {
    /// Whose tokens are mounted, and what each account may do.
    pub(super) fn new(cluster: &super::Cluster<'_>) -> Self {
        let mut holders: BTreeMap<Account, Vec<usize>> = BTreeMap::new();
        for (at, workload) in cluster.workloads.iter().enumerate() {
            let account = workload.account();
            let object = cluster.accounts.get(&(account.0.as_str(), account.1.as_str()));
            if workload.has_token(object) {
                holders.entry(account).or_default().push(at);
            }
        }
        let used: BTreeSet<Account> = cluster.workloads.iter().map(super::workload::Workload::account).collect();
        Self { accounts: Accounts::new(&cluster.objects, &used), holders }
    }

    /// Namespaces of which somebody comes to all Secrets, and not to all of the cluster.
    pub(super) fn readable(&self) -> BTreeSet<String> {
        let all = self.accounts.powers.values().chain(std::iter::once(&self.accounts.anonymous));
        let spaces = all.flat_map(BTreeMap::keys).filter_map(|p| match p {
            Power::Admin(Scope::Namespace(ns)) | Power::ReadSecrets(Scope::Namespace(ns)) => Some(ns.clone()),
            _ => None,
        });
        spaces.collect()
    }
}

impl Modelling<'_> {
    /// The accounts with power, in the hands of who has their tokens.
    pub(super) fn powers(&mut self, draft: &mut Draft, held: &Held) {
        for (place, binding, role) in &held.accounts.unknown {
            let why = format!("it binds {role}, which is not in what was read");
            draft.left_out(place.as_str(), binding.as_str(), why);
        }
        let mut idle: Vec<(&Account, &Powers)> = Vec::new();
        for (account, powers) in &held.accounts.powers {
            let tokens = self.lasting_tokens(account);
            match held.holders.get(account) {
                Some(holders) => {
                    let holders = self.nodes_of(holders);
                    if powers.keys().all(|p| matches!(p, Power::ReadSecret(..))) {
                        // What it may read it is given; the token opens nothing else.
                        self.opens(draft, "", powers, &holders);
                        continue;
                    }
                    let datum = self.account(draft, account, powers, &holders);
                    for holder in &holders {
                        hold(draft, holder, &datum);
                    }
                }
                None if tokens.is_empty() => idle.push((account, powers)),
                None => {}
            }
            for token in tokens {
                let datum = self.secret(draft, &account.0, &token);
                self.opens(draft, &datum, powers, &[]);
            }
        }
        for (account, powers) in idle {
            self.idle(draft, account, powers);
        }
        self.anonymous(draft, &held.accounts.anonymous);
        if draft.find(Kind::Node, "k8s:api").is_some() {
            for who in &held.accounts.people {
                draft.node("k8s:api", "k8s-api").comment(format!("{who} administers the cluster too"));
            }
        }
        self.identities(draft);
    }

    fn nodes_of(&self, workloads: &[usize]) -> Vec<String> {
        workloads.iter().filter_map(|at| self.cluster.workloads.get(*at)).map(|w| w.node.clone()).collect()
    }

    /// Secrets with a token of an account that never ends.
    fn lasting_tokens(&self, account: &Account) -> Vec<String> {
        let kind = "kubernetes.io/service-account-token";
        let of = |s: &&super::object::Object<'_>| {
            s.namespace == account.0
                && s.tree.text_at(&["type"]) == Some(kind)
                && s.annotation("kubernetes.io/service-account.name") == Some(account.1.as_str())
        };
        let mut all: Vec<String> = self.cluster.secrets.values().filter(of).map(|s| s.name.to_owned()).collect();
        all.sort();
        all
    }

    /// The datum of an account. Its name.
    fn account(&mut self, draft: &mut Draft, account: &Account, powers: &Powers, holders: &[String]) -> String {
        let (namespace, name) = account;
        let several = self.several_accounts.contains(name.as_str());
        let wanted = match several || name == "default" {
            true => format!("{namespace}-{name}-account"),
            false => format!("{}-account", name.trim_end_matches("-account").trim_end_matches("-sa")),
        };
        let datum = draft.data(&format!("k8s:account/{namespace}/{name}"), &wanted);
        // A mounted token is renewed every hour.
        datum.set("class", "secret").set("ttl", "1h");
        datum.comment(format!("ServiceAccount {namespace}/{name}: {}", words(powers)));
        let datum = datum.name().to_owned();
        self.opens(draft, &datum, powers, holders);
        datum
    }

    /// What a token opens. Who has it and whose role names what it needs has a flow there.
    fn opens(&mut self, draft: &mut Draft, datum: &str, powers: &Powers, holders: &[String]) {
        for (power, why) in powers {
            let mut targets: Vec<String> = Vec::new();
            match power {
                Power::Admin(Scope::Cluster) => targets.push(self.api(draft)),
                Power::Admin(Scope::Namespace(ns)) => {
                    targets.push(self.api_of(draft, ns));
                    if self.keeping.spaces.contains(ns) {
                        targets.push(self.secret_store(draft, ns));
                    }
                }
                Power::ReadSecrets(Scope::Cluster) => {
                    let stores = self.secret_stores(draft);
                    targets.extend(if stores.is_empty() { vec![self.secret_store(draft, "")] } else { stores });
                }
                Power::ReadSecrets(Scope::Namespace(ns)) => targets.push(self.secret_store(draft, ns)),
                Power::ReadSecret(ns, name) => {
                    self.read_one(draft, ns, name, holders);
                    continue;
                }
                Power::Tokens(_) | Power::Token(..) | Power::Impersonate(..) => continue,
            }
            for target in targets {
                if let Some(noun) = draft.named(Kind::Data, datum) {
                    noun.add("opens", target.as_str());
                }
                for holder in holders.iter().filter(|_| why.named) {
                    let key = format!("k8s:{holder}>{target}");
                    let flow = draft.flow(&key, &format!("{holder}-{target}"), holder, &target);
                    flow.add("carries", datum)
                        .via("tls", "1.2")
                        .comment(format!("its role names what it needs: {}", why.words));
                }
            }
        }
    }

    /// One Secret that a role lets an account read by name.
    fn read_one(&mut self, draft: &mut Draft, namespace: &str, name: &str, holders: &[String]) {
        let spaces: Vec<String> = match namespace {
            ANYWHERE => {
                let all = self.cluster.secrets.keys().filter(|(_, n)| *n == name);
                let mut spaces: Vec<String> = all.map(|(ns, _)| (*ns).to_owned()).collect();
                spaces.sort();
                spaces
            }
            one => vec![one.to_owned()],
        };
        for space in spaces {
            for holder in holders {
                self.give(draft, holder, &space, name, "its role lets it read this one");
            }
        }
    }

    /// The API server, to whom it is an administration of the whole cluster.
    fn api(&mut self, draft: &mut Draft) -> String {
        let zone = self.cluster_zone.clone();
        let audited = self.cluster.of_kind("audit.k8s.io", "Policy").next().is_some();
        let api = draft.node("k8s:api", "k8s-api");
        api.set("kind", "service").set("zone", zone.as_str()).set("privilege", "admin").set("auth", "rbac");
        api.add("serves", serde_json::json!({ "port": 443, "protocol": "tls" })).add("exposed_to", zone.as_str());
        if audited {
            api.set("logs", true);
        }
        api.name().to_owned()
    }

    /// The same for one namespace.
    fn api_of(&mut self, draft: &mut Draft, namespace: &str) -> String {
        let zone = self.namespace_zone(draft, namespace);
        let cluster = self.cluster_zone.clone();
        let api = draft.node(&format!("k8s:api/{namespace}"), &format!("k8s-api-{namespace}"));
        api.set("kind", "service").set("zone", zone).set("privilege", "admin").set("auth", "rbac");
        api.add("serves", serde_json::json!({ "port": 443, "protocol": "tls" })).add("exposed_to", cluster);
        api.comment(format!("the API server, to whoever may run pods or hand out roles in the namespace {namespace}"));
        api.name().to_owned()
    }

    /// An account that no workload has: whoever runs pods in its namespace can have it.
    fn idle(&mut self, draft: &mut Draft, account: &Account, powers: &Powers) {
        let (namespace, name) = account;
        let place = self.cluster.accounts.get(&(namespace.as_str(), name.as_str()));
        let place = place.map_or_else(|| "RBAC".to_owned(), super::object::Object::place);
        let title = format!("ServiceAccount {namespace}/{name}: {}", words(powers));
        if draft.find(Kind::Node, &format!("k8s:api/{namespace}")).is_some() {
            let datum = self.account(draft, account, powers, &[]);
            let api = self.api_of(draft, namespace);
            if let Some(api) = draft.named(Kind::Node, &api) {
                api.add("holds", datum.as_str());
            }
        } else {
            draft.left_out(place, title, "no workload that was read has its token");
        }
    }

    /// What is bound to those who prove nothing: `system:unauthenticated` and `system:anonymous`.
    fn anonymous(&mut self, draft: &mut Draft, powers: &Powers) {
        for (power, why) in powers {
            let why = format!("whoever proves nothing may do this: {}", why.words);
            match power {
                Power::Admin(scope) => {
                    let internet = draft.internet();
                    let api = match scope {
                        Scope::Cluster => self.api(draft),
                        Scope::Namespace(ns) => self.api_of(draft, ns),
                    };
                    let Some(api) = draft.named(Kind::Node, &api) else { continue };
                    api.remove("auth");
                    api.set("auth", "none").set("port", 443).comment(why);
                    api.guess_add(
                        "exposed_to",
                        internet,
                        "clouds give the API server a public address unless told otherwise",
                    );
                }
                Power::ReadSecrets(scope) => {
                    let stores = match scope {
                        Scope::Cluster => self.secret_stores(draft),
                        Scope::Namespace(ns) => vec![self.secret_store(draft, ns)],
                    };
                    for store in stores {
                        let Some(store) = draft.named(Kind::Node, &store) else { continue };
                        store.remove("auth");
                        store.set("auth", "none").comment(why.as_str());
                    }
                }
                _ => {}
            }
        }
    }

    /// Identities of a cloud that accounts act as.
    fn identities(&mut self, draft: &mut Draft) {
        for workload in &self.cluster.workloads {
            let (namespace, name) = workload.account();
            let Some(object) = self.cluster.accounts.get(&(namespace.as_str(), name.as_str())) else { continue };
            for (annotation, key, word) in IDENTITIES {
                let Some(identity) = object.annotation(annotation) else { continue };
                let short = identity.rsplit('/').next().unwrap_or(identity);
                let wanted = short.split('@').next().unwrap_or(short);
                let datum = draft.data(&format!("{key}{short}"), &format!("{wanted}-{word}"));
                datum.set("class", "secret").set("ttl", "1h");
                datum.comment(format!(
                    "ServiceAccount {namespace}/{name} acts as it; what it opens is for the cloud to say"
                ));
                let datum = datum.name().to_owned();
                hold(draft, &workload.node, &datum);
            }
        }
    }
}

/// Puts a credential into the hands of a node. What a store holds is what it keeps for others; its own it reads.
pub(super) fn hold(draft: &mut Draft, node: &str, datum: &str) {
    if let Some(node) = draft.named(Kind::Node, node) {
        let key = if node.text("kind") == Some("store") { "reads" } else { "holds" };
        node.add(key, datum);
    }
}

/// Powers in words.
pub(super) fn words(powers: &Powers) -> String {
    let one = |(power, why): (&Power, &Why)| {
        let what = match power {
            Power::Admin(Scope::Cluster) => "administers the cluster".to_owned(),
            Power::Admin(Scope::Namespace(ns)) => format!("administers the namespace {ns}"),
            Power::ReadSecrets(Scope::Cluster) => "reads all Secrets".to_owned(),
            Power::ReadSecrets(Scope::Namespace(ns)) => format!("reads all Secrets of {ns}"),
            Power::ReadSecret(ns, name) => format!("reads the Secret {ns}/{name}"),
            Power::Tokens(ns) => format!("has tokens of all accounts of {ns}"),
            Power::Token(ns, name) => format!("acts as ServiceAccount {ns}/{name}"),
            Power::Impersonate(kind, name) => format!("acts as {kind} {name}"),
        };
        format!("{what} ({})", why.words)
    };
    powers.iter().map(one).collect::<Vec<_>>().join(", ")
}
