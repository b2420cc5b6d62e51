//! Roles and users: the policies that they have from everywhere, and the secret that stands for each, with what it opens.
use std::collections::HashMap;

use super::{
    Import,
    managed::managed,
    plan::Plan,
    policy::{self, About, Can, Document, Matcher, Statement, Target},
};
use crate::draft::Kind;

/// Rounds in which roles are followed that may become roles.
const CHAIN_MAX: usize = 8;
const PRINCIPALS: [&str; 3] = ["aws_iam_role", "aws_iam_user", "aws_iam_group"];

/// What a role or user may do.
#[derive(Clone, Default)]
pub(super) struct Rights {
    statements: Vec<Statement>,
    /// Resources that a policy names which is known after apply.
    named: Vec<usize>,
    is_unknown: bool,
    /// Managed policies that are not known here, and whether some limit could not be read.
    strange: bool,
    /// What makes it an administrator.
    pub(super) admin: Option<&'static str>,
    /// Stores, by their place, that it may read and write.
    pub(super) access: Vec<Access>,
    /// Roles that it may become.
    becomes: Vec<usize>,
}

/// What somebody may do with a store.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub(super) store: usize,
    pub(super) read: Can,
    pub(super) write: Can,
}

impl Import<'_, '_> {
    /// Reads all policies, and what they come to.
    pub(super) fn all_rights(&mut self) {
        let plan = self.plan;
        let mut rights: HashMap<usize, Rights> =
            plan.of(&PRINCIPALS).into_iter().map(|id| (id, Rights::default())).collect();
        let mut give = |ids: &[usize], what: &Given| {
            for id in ids {
                let Some(of) = rights.get_mut(id) else { continue };
                match what {
                    Given::Document(Document::Known(statements)) => of.statements.extend(statements.iter().cloned()),
                    Given::Document(Document::Unknown(named)) => {
                        of.is_unknown = true;
                        of.named.extend(named);
                    }
                    Given::Strange => of.strange = true,
                }
            }
        };
        for id in plan.of(&["aws_iam_role_policy", "aws_iam_user_policy", "aws_iam_group_policy"]) {
            let key = plan.get(id).kind.trim_start_matches("aws_iam_").trim_end_matches("_policy");
            let to = plan.find(id, &[key], &PRINCIPALS);
            if let Some(document) = Document::of(plan, id, &["policy"]) {
                give(&to, &Given::Document(document));
            }
        }
        let attachments = [
            "aws_iam_role_policy_attachment",
            "aws_iam_user_policy_attachment",
            "aws_iam_group_policy_attachment",
            "aws_iam_policy_attachment",
        ];
        for id in plan.of(&attachments) {
            let to: Vec<usize> = ["role", "user", "group", "roles", "users", "groups"]
                .iter()
                .flat_map(|k| plan.find(id, &[k], &PRINCIPALS))
                .collect();
            for given in self.given(id, "policy_arn") {
                give(&to, &given);
            }
        }
        for id in plan.of(&["aws_iam_role"]) {
            for policy in plan.get(id).texts(&["inline_policy", "policy"]) {
                give(&[id], &Given::Document(Document::parse(policy)));
            }
            if plan.get(id).is_configured("managed_policy_arns")
                || !plan.get(id).texts(&["managed_policy_arns"]).is_empty()
            {
                for given in self.given(id, "managed_policy_arns") {
                    give(&[id], &given);
                }
            }
        }
        for id in plan.of(&["aws_iam_user_group_membership", "aws_iam_group_membership"]) {
            let of = |keys: [&str; 2], kind: &str| -> Vec<usize> {
                keys.iter().flat_map(|k| plan.find(id, &[k], &[kind])).collect()
            };
            let (users, groups) = (of(["user", "users"], "aws_iam_user"), of(["group", "groups"], "aws_iam_group"));
            let shared: Vec<Rights> = groups.iter().filter_map(|g| rights.get(g).cloned()).collect();
            for user in users {
                for group in &shared {
                    if let Some(of) = rights.get_mut(&user) {
                        of.statements.extend(group.statements.iter().cloned());
                        of.named.extend(&group.named);
                        of.is_unknown |= group.is_unknown;
                    }
                }
            }
        }
        let roles: Vec<(usize, Option<Document>)> = plan
            .of(&["aws_iam_role"])
            .into_iter()
            .map(|id| (id, Document::of(plan, id, &["assume_role_policy"])))
            .collect();
        for (id, of) in &mut rights {
            let limit = self.boundary(*id);
            of.strange |= matches!(limit, Limit::Unknown);
            of.admin =
                policy::administers(&of.statements, &self.matcher).filter(|_| limit.lets_administer(&self.matcher));
            let mut asked: HashMap<&'static str, (About<'_>, Option<About<'_>>)> = HashMap::new();
            let mut may = |action: &'static str, target: Target<'_>| {
                let (own, limited) = asked.entry(action).or_insert_with(|| {
                    let limited = limit.statements().map(|s| About::new(s, action, &self.matcher));
                    (About::new(&of.statements, action, &self.matcher), limited)
                });
                let own = own.can(target, &self.matcher);
                let limited = match (own, limited, &limit) {
                    (Can::No, ..) => return Can::No,
                    (_, Some(limited), _) => limited.can(target, &self.matcher),
                    (.., Limit::Unknown) => Can::Maybe,
                    _ => Can::Named,
                };
                // A right that is named and limited broadly is named.
                if limited > Can::Maybe { own } else { own.min(limited) }
            };
            for (place, store) in self.stores.iter().enumerate() {
                let arn = plan.get(store.id).text(&["arn"]);
                let target = Target::Resource { id: store.id, arn, service: store.service, tails: &store.tails };
                let mut read = store.read.iter().map(|a| may(a, target)).max().unwrap_or(Can::No);
                let write = store.write.iter().map(|a| may(a, target)).max().unwrap_or(Can::No);
                if of.is_unknown && of.named.contains(&store.id) {
                    read = read.max(Can::Maybe);
                }
                if read.max(write) > Can::No {
                    of.access.push(Access { store: place, read, write });
                }
            }
            if of.statements.iter().all(|s| !s.is_about("sts:AssumeRole", &self.matcher)) {
                continue;
            }
            for (role, trust) in roles.iter().filter(|(role, _)| role != id) {
                let tails = plan.get(*role).text(&["name"]).map(|n| vec![format!("role/{n}")]).unwrap_or_default();
                let arn = plan.get(*role).text(&["arn"]);
                let target = Target::Resource { id: *role, arn, service: "iam", tails: &tails };
                let lets = || match trust {
                    Some(Document::Known(statements)) => statements.iter().any(|s| s.trusts(plan, *id)),
                    Some(Document::Unknown(named)) => named.contains(id),
                    None => false,
                };
                if may("sts:AssumeRole", target) >= Can::Broadly && lets() {
                    of.becomes.push(*role);
                }
            }
        }
        // Who may become a role has what that role has.
        for _ in 0..CHAIN_MAX {
            let before = rights.clone();
            let mut is_more = false;
            for of in rights.values_mut() {
                for role in of.becomes.clone() {
                    let Some(that) = before.get(&role) else { continue };
                    if of.admin.is_none() && that.admin.is_some() {
                        of.admin = Some("it may become a role that administers the account (`sts:AssumeRole`)");
                        is_more = true;
                    }
                    for access in &that.access {
                        if !of.access.iter().any(|a| a.store == access.store && a.read >= access.read.min(Can::Broadly))
                        {
                            of.access.push(Access { read: access.read.min(Can::Broadly), ..*access });
                            is_more = true;
                        }
                    }
                }
            }
            if !is_more {
                break;
            }
        }
        self.rights = rights;
        self.open_roles(&roles);
        // Who becomes these is outside of the plan: pods of a cluster, jobs of a build service.
        for (id, _) in
            roles.iter().filter(|(_, t)| t.as_ref().is_some_and(|t| t.statements().iter().any(Statement::is_federated)))
        {
            self.principal(*id);
        }
        self.users_with_keys();
    }

    fn given(&self, id: usize, key: &str) -> Vec<Given> {
        let plan = self.plan;
        let own = plan.find(id, &[key], &["aws_iam_policy"]);
        let mut all: Vec<Given> =
            own.iter().filter_map(|p| Document::of(plan, *p, &["policy"])).map(Given::Document).collect();
        for arn in plan.get(id).texts(&[key]) {
            if let Some(name) = arn.split(":iam::aws:policy/").nth(1) {
                let name = name.rsplit('/').next().unwrap_or(name);
                all.push(managed(name).map_or(Given::Strange, |s| Given::Document(Document::Known(s))));
            } else if plan.named(arn).is_empty() {
                all.push(Given::Strange);
            }
        }
        if all.is_empty() { vec![Given::Strange] } else { all }
    }

    /// The limit of a role: what its permissions boundary allows.
    fn boundary(&self, id: usize) -> Limit {
        let of = self.plan.get(id);
        if of.text(&["permissions_boundary"]).is_none_or(str::is_empty) && !of.is_configured("permissions_boundary") {
            return Limit::None;
        }
        let mut all = Vec::new();
        for given in self.given(id, "permissions_boundary") {
            match given {
                Given::Document(Document::Known(statements)) => all.extend(statements),
                _ => return Limit::Unknown,
            }
        }
        Limit::Known(all)
    }

    /// The interface of the cloud: whoever is let in with all rights owns the account.
    pub(super) fn aws_api(&mut self) -> String {
        let (zone, internet) = (self.zone.clone(), self.draft.internet());
        let is_recorded = !self.plan.of(&["aws_cloudtrail"]).is_empty();
        let node =
            self.draft.node("aws-api", "aws-api").set("kind", "service").set("zone", zone).set("privilege", "admin");
        node.set("auth", "sigv4")
            .add("exposed_to", internet)
            .comment("the interface of AWS: whoever has all rights there owns the account");
        if is_recorded {
            node.set("logs", true);
        }
        node.name().to_owned()
    }

    /// The secret that stands for a role or user, and what it opens.
    pub(super) fn principal(&mut self, id: usize) -> String {
        if let Some(name) = self.principals.get(&id) {
            return name.clone();
        }
        let plan = self.plan;
        let (of, key, label) = (plan.get(id), self.key(id), self.label(id));
        let is_role = of.kind == "aws_iam_role";
        let word = if is_role { "role" } else { "access-key" };
        let wanted = if label.contains(word) { label } else { format!("{label}-{word}") };
        // Manifests name the roles of their accounts: one read before is the same datum, and one read later finds it.
        let shared = of.text(&["name"]).filter(|_| is_role).map(|name| format!("aws:iam-role:{name}"));
        if let Some(shared) = &shared {
            self.draft.alias(Kind::Data, shared, &key);
        }
        let name = self.draft.data(&key, &wanted).set("class", "secret").name().to_owned();
        self.principals.insert(id, name.clone());
        if let Some(shared) = &shared {
            self.draft.alias(Kind::Data, &key, shared);
        }
        let rights = self.rights.get(&id).cloned().unwrap_or_default();
        let api = rights.admin.map(|why| (self.aws_api(), why));
        let opened: Vec<(String, Can)> = rights
            .access
            .iter()
            .filter_map(|a| Some((self.stores.get(a.store)?.node.clone(), a.read)))
            .filter(|(_, can)| *can > Can::No)
            .collect();
        let datum = self.draft.data(&key, &wanted);
        if is_role {
            datum.guess("ttl", "6h", "AWS issues a role's credentials for hours");
        } else {
            datum.comment("an access key: it is good until somebody takes it away");
        }
        if let Some((api, why)) = api {
            datum.add("opens", api).comment(why);
        }
        let (sure, unsure): (Vec<_>, Vec<_>) = opened.into_iter().partition(|(_, can)| *can > Can::Maybe);
        for (node, _) in sure {
            datum.add("opens", node);
        }
        for (node, _) in unsure {
            datum.guess_add("opens", node, "a policy names it, under a condition or known only after apply");
        }
        if rights.is_unknown {
            datum.comment("a policy of it is known only after apply: import the state then, to see what it may do");
        }
        if rights.strange {
            datum.comment("some policy or limit of it is not in this plan, and not known to Ward");
        }
        name
    }

    /// Who has a role reaches what the role is given by name.
    pub(super) fn uses(&mut self, node: &str, principal: usize, is_inside: bool) {
        let access = self.rights.get(&principal).map(|r| r.access.clone()).unwrap_or_default();
        for one in access.into_iter().filter(|a| a.read == Can::Named || a.write == Can::Named) {
            self.stores_flow(node, one.store, one.read > Can::No, one.write > Can::No, is_inside, "its role may");
        }
    }

    /// A flow to a store of the cloud.
    pub(super) fn stores_flow(
        &mut self,
        node: &str,
        store: usize,
        reads: bool,
        writes: bool,
        is_inside: bool,
        why: &str,
    ) {
        let Some(of) = self.stores.get(store) else { return };
        let (to, datum, service) = (of.node.clone(), of.datum.clone(), of.service);
        let is_cloud = !matches!(service, "rds-db" | "elasticache" | "elasticfilesystem");
        let is_private = is_inside.then(|| self.has_endpoint(service)).flatten();
        let flow = self.flow(node, &to);
        if reads {
            flow.guess_add("returns", datum.as_str(), why);
        }
        if writes {
            flow.guess_add("carries", datum.as_str(), why);
        }
        if is_cloud {
            flow.guess_via("tls", "1.2", "AWS's interfaces take nothing older").via("auth", "iam");
            match is_private {
                Some(true) => _ = flow.guess_via("local", true, "the network has an endpoint for it"),
                Some(false) => {
                    _ = flow.guess_via(
                        "local",
                        false,
                        "the network has no endpoint for it: it goes to its public address",
                    )
                }
                None => {}
            }
        }
    }

    /// Whether the networks here have an endpoint of a service; nothing where that cannot be told.
    fn has_endpoint(&self, service: &str) -> Option<bool> {
        let plan = self.plan;
        if plan.of(&["aws_vpc"]).is_empty() {
            return None;
        }
        let mut is_sure = true;
        for id in plan.of(&["aws_vpc_endpoint"]) {
            match plan.get(id).text(&["service_name"]) {
                Some(name) if name.rsplit('.').next() == Some(service) => return Some(true),
                Some(_) => {}
                None => is_sure = false,
            }
        }
        is_sure.then_some(false)
    }

    /// Roles that anybody can become.
    fn open_roles(&mut self, roles: &[(usize, Option<Document>)]) {
        let open: Vec<usize> = roles
            .iter()
            .filter(|(_, trust)| trust.as_ref().is_some_and(|t| policy::lets_anybody_in(t.statements(), &self.matcher)))
            .map(|(id, _)| *id)
            .collect();
        for id in open {
            let (secret, users, zone) = (self.principal(id), self.users(), self.zone.clone());
            let (key, label) = (format!("{}:sts", self.key(id)), self.label(id));
            let node = self.draft.node(&key, &format!("{label}-sts")).set("kind", "service").set("zone", zone);
            node.set("auth", "none").comment("the trust policy of the role lets any account become it");
            let node = node.name().to_owned();
            self.flow(&users, &node).add("returns", secret).guess_via(
                "tls",
                "1.2",
                "AWS's interfaces take nothing older",
            );
        }
    }

    /// Users with access keys: secrets that never end, in programs elsewhere.
    fn users_with_keys(&mut self) {
        let plan = self.plan;
        for id in plan.of(&["aws_iam_access_key"]) {
            for user in plan.find(id, &["user"], &["aws_iam_user"]) {
                let secret = self.principal(user);
                let (key, label) = (self.key(user), self.label(user));
                let zone = self
                    .draft
                    .zone("elsewhere", "elsewhere")
                    .comment("where programs run that are not in what was read")
                    .name()
                    .to_owned();
                let node = self.draft.node(&key, &label).guess("kind", "service", "an access key is for a program");
                let name = node.set("zone", zone).add("holds", secret.as_str()).name().to_owned();
                self.nodes.insert(user, name.clone());
                self.uses(&name, user, false);
                if self.rights.get(&user).is_some_and(|r| r.admin.is_some()) {
                    let api = self.aws_api();
                    self.flow(&name, &api)
                        .guess_add("carries", secret.as_str(), "it has the right")
                        .via("auth", "sigv4")
                        .guess_via("tls", "1.2", "AWS's interfaces take nothing older");
                }
            }
        }
    }

    /// The role that something runs with.
    pub(super) fn roles_of(&self, ids: &[usize], path: &[&str]) -> Vec<usize> {
        let mut all = Vec::new();
        for id in ids {
            all.extend(self.plan.find(*id, path, &["aws_iam_role"]));
            for profile in self.plan.find(*id, path, &["aws_iam_instance_profile"]) {
                all.extend(self.plan.find(profile, &["role"], &["aws_iam_role"]));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What a permissions boundary leaves.
enum Limit {
    None,
    Known(Vec<Statement>),
    /// There is one, and it cannot be read.
    Unknown,
}

impl Limit {
    fn statements(&self) -> Option<&[Statement]> {
        match self {
            Self::Known(statements) => Some(statements),
            Self::None | Self::Unknown => None,
        }
    }

    fn lets_administer(&self, matcher: &Matcher) -> bool {
        match self {
            Self::None => true,
            Self::Known(statements) => policy::administers(statements, matcher).is_some(),
            Self::Unknown => false,
        }
    }
}

enum Given {
    Document(Document),
    Strange,
}

impl Statement {
    /// Whether a trust policy lets a role or user in, by name or with its whole account.
    fn trusts(&self, plan: &Plan<'_>, id: usize) -> bool {
        let of = plan.get(id);
        self.lets_in().any(|who| {
            // A reference that is not known yet may be it; the right to assume is asked for besides.
            who.is_empty()
                || who == "*"
                || who.ends_with(":root")
                || Some(who) == of.text(&["arn"])
                || of.text(&["name"]).is_some_and(|n| who.ends_with(&format!("/{n}")))
        })
    }
}
