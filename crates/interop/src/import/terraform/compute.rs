//! What runs beside machines: clusters, functions, tasks; with which role, and what they name.
use model::tree::Tree;

use super::{
    Import,
    machines::is_page,
    network::{self, Source},
    plan::{blocks, texts},
    stores::leads_out,
};
use crate::draft::Kind;

impl Import<'_, '_> {
    /// Everything that runs.
    pub(super) fn compute(&mut self) {
        self.clusters();
        self.instances();
        self.scaled();
        self.functions();
        self.tasks();
    }

    /// Stores and services that a script or environment names: it uses them.
    pub(super) fn names_stores(&mut self, ids: &[usize], node: &str, paths: &[&[&str]]) {
        let plan = self.plan;
        let mut named: Vec<usize> = ids.iter().flat_map(|id| paths.iter().flat_map(|p| plan.refers(*id, p))).collect();
        named.sort_unstable();
        named.dedup();
        for id in named {
            let why = "its configuration names it; which way is not known";
            if let Some(place) = self.stores.iter().position(|s| s.id == id) {
                let is_known = self.nodes.get(&id).is_some_and(|to| self.is_flow(node, to));
                if !is_known {
                    let is_secret = matches!(plan.get(id).kind, "aws_secretsmanager_secret" | "aws_ssm_parameter");
                    self.stores_flow(node, place, true, !is_secret, true, why);
                    self.password_of(id, node);
                }
            } else if let Some(to) = self.nodes.get(&id).cloned().filter(|to| to != node && !self.is_flow(node, to)) {
                self.sends(node, &to, why);
            }
        }
    }

    /// Who connects to a database has its password.
    fn password_of(&mut self, id: usize, node: &str) {
        let key = format!("{}:password", self.key(id));
        let to = self.nodes.get(&id).cloned();
        if let (Some(secret), Some(to)) = (self.draft.find(Kind::Data, &key).map(|n| n.name().to_owned()), to) {
            self.flow(node, &to).guess_add("carries", secret, "it logs in there");
        }
    }

    fn clusters(&mut self) {
        let plan = self.plan;
        for id in plan.of(&["aws_eks_cluster"]) {
            let of = plan.get(id);
            let (key, label) = (self.key(id), self.label(id));
            let subnets = plan.find(id, &["vpc_config", "subnet_ids"], &["aws_subnet"]);
            let groups = self.groups_of(&[id], &[&["vpc_config", "security_group_ids"]]);
            let vpcs: Vec<usize> = subnets.iter().flat_map(|s| plan.find(*s, &["vpc_id"], &["aws_vpc"])).collect();
            let network = match vpcs.first() {
                Some(vpc) => self.vpc_zone(*vpc),
                None => self.zone_of(&[], &[]),
            };
            let word =
                if label.contains("eks") || label.contains("cluster") { label.clone() } else { format!("{label}-eks") };
            let zone_key = format!("{key}:zone");
            let zone = self
                .draft
                .zone(&zone_key, &word)
                .set("in", network.as_str())
                .comment("a Kubernetes cluster; what runs in it is in its manifests")
                .name()
                .to_owned();
            let api =
                self.draft.node(&key, &format!("{label}-k8s-api")).set("kind", "service").set("zone", zone.as_str());
            api.set("privilege", "admin").set("auth", "rbac");
            let logs = of.texts(&["enabled_cluster_log_types"]);
            if logs.iter().any(|l| matches!(*l, "audit" | "api" | "authenticator")) {
                api.set("logs", true);
            }
            let api_name = api.name().to_owned();
            self.nodes.insert(id, api_name.clone());
            if let Some(name) = of.text(&["name"]) {
                self.draft.alias(Kind::Zone, &zone_key, &format!("eks:{name}"));
                self.draft.alias(Kind::Node, &key, &format!("eks-api:{name}"));
            }
            let public = of.flag(&["vpc_config", "endpoint_public_access"]);
            let cidrs = of.texts(&["vpc_config", "public_access_cidrs"]);
            let is_anybody = cidrs.is_empty() || cidrs.iter().any(|c| network::source(c) == Source::Anybody);
            if public != Some(false) && is_anybody {
                let internet = self.draft.internet();
                let api = self.draft.node(&key, &api_name);
                match public {
                    Some(_) if !cidrs.is_empty() => _ = api.add("exposed_to", internet),
                    _ => {
                        _ = api.guess_add(
                            "exposed_to",
                            internet,
                            "nothing narrows the public endpoint, and by its documented default everybody can connect",
                        )
                    }
                }
            } else {
                let api = self.draft.node(&key, &api_name).add("exposed_to", network.as_str());
                if public != Some(false) {
                    api.comment("some public addresses can connect to it too: who that is, is not in a plan");
                }
            }
            let by_kms = of.texts(&["encryption_config", "resources"]).contains(&"secrets");
            let secrets =
                self.draft.data(&format!("{key}:secrets"), &format!("{label}-secrets")).set("class", "secret");
            let secrets = secrets
                .comment("what the cluster's Secrets hold; the manifests say what it is good for")
                .name()
                .to_owned();
            let store = self
                .draft
                .node(&format!("{key}:secrets"), &format!("{label}-k8s-secrets"))
                .set("kind", "store")
                .set("zone", zone.as_str());
            store.set("auth", "rbac").add("holds", secrets.as_str());
            match by_kms {
                true => _ = store.set("at_rest", "kms"),
                false => _ = store.guess("at_rest", "volume", "no `encryption_config`; EKS encrypts the disks of etcd, and who may read Secrets reads them in Base64"),
            }
            let store = store.name().to_owned();
            self.flow(&api_name, &store)
                .add("carries", secrets)
                .guess_via("tls", "1.2", "AWS runs it")
                .via("auth", "mtls");
            // By these keys manifests find the cluster that they are of, and whether it is the only one.
            let nth = if self.draft.find(Kind::Zone, "cloud-cluster:1").is_none() { 1 } else { 2 };
            self.draft.alias(Kind::Zone, &zone_key, &format!("cloud-cluster:{nth}"));
            self.draft.alias(Kind::Node, &key, &format!("cloud-cluster-api:{nth}"));
            self.draft.alias(Kind::Node, &format!("{key}:secrets"), &format!("cloud-cluster-secrets:{nth}"));
            for group in &groups {
                self.members.entry(*group).or_default();
            }
            for ids in self.grouped(&["aws_eks_node_group"]) {
                if !ids.iter().any(|n| plan.find(*n, &["cluster_name"], &["aws_eks_cluster"]).contains(&id)) {
                    continue;
                }
                let name = self.node_group(&ids, &zone);
                self.members.entry(id).or_default().push(name.clone());
                let (requests, why) = (self.requests(), "nodes ask the interface what to run");
                self.flow(&name, &api_name)
                    .guess_add("carries", requests, why)
                    .guess_via("tls", "1.2", why)
                    .via("auth", "iam");
            }
        }
    }

    fn node_group(&mut self, ids: &[usize], zone: &str) -> String {
        let plan = self.plan;
        let templates: Vec<usize> =
            ids.iter().flat_map(|id| plan.find(*id, &["launch_template", "id"], &["aws_launch_template"])).collect();
        let first = ids.first().copied().unwrap_or_default();
        let mut machine = self.templated(ids, &templates, &["subnet_ids"]);
        machine.roles = self.roles_of(ids, &["node_role_arn"]);
        machine.metadata = Some(match plan.get(first).text(&["ami_type"]) {
            Some(t) if t.starts_with("AL2_") => ("none", "`ami_type` is Amazon Linux 2, and nothing asks for IMDSv2"),
            _ => ("session-token", "the images that EKS takes by itself (Amazon Linux 2023) ask for IMDSv2"),
        });
        let (key, label) = (self.key(first), self.label(first));
        let node =
            self.draft.node(&key, &label).set("kind", "service").set("zone", zone).comment("nodes of the cluster");
        let name = node.name().to_owned();
        for id in ids {
            self.nodes.insert(*id, name.clone());
        }
        if !plan.get(first).blocks("remote_access").is_empty() {
            self.draft.node(&key, &label).comment("its nodes can be logged in to (`remote_access`)");
        }
        self.guard(&name, zone, &machine.groups.clone(), None, false);
        self.metadata(first, &name, zone, &machine);
        name
    }

    fn functions(&mut self) {
        let plan = self.plan;
        for ids in self.grouped(&["aws_lambda_function"]) {
            let Some(id) = ids.first().copied() else { continue };
            let (key, label) = (self.key(id), self.label(id));
            let groups = self.groups_of(&ids, &[&["vpc_config", "security_group_ids"]]);
            let subnets = plan.find(id, &["vpc_config", "subnet_ids"], &["aws_subnet"]);
            let is_inside = !groups.is_empty() || !subnets.is_empty();
            let zone = if is_inside {
                let vpcs = self.vpcs_of(&groups);
                self.zone_of(&subnets, &vpcs)
            } else {
                self.zone.clone()
            };
            let node =
                self.draft.node(&key, &label).set("kind", "service").set("zone", zone.as_str()).name().to_owned();
            for id in &ids {
                self.nodes.insert(*id, node.clone());
            }
            for group in &groups {
                self.members.entry(*group).or_default().push(node.clone());
            }
            for role in self.roles_of(&ids, &["role"]) {
                self.runs_as(&node, role, is_inside);
            }
            self.names_stores(&ids, &node, &[&["environment"]]);
            self.secrets_in(id, &node);
        }
        for id in plan.of(&["aws_lambda_function_url"]) {
            for function in plan.find(id, &["function_name"], &["aws_lambda_function"]) {
                let Some(node) = self.nodes.get(&function).cloned() else { continue };
                let is_open = plan.get(id).text(&["authorization_type"]) == Some("NONE");
                self.entry(&node, if is_open { None } else { Some("iam") }, "a function URL is HTTPS");
            }
        }
        for id in plan.of(&["aws_lambda_permission"]) {
            if plan.get(id).text(&["principal"]) != Some("*")
                || plan.get(id).text(&["source_arn"]).is_some()
                || plan.get(id).is_configured("source_arn")
            {
                continue;
            }
            for function in plan.find(id, &["function_name"], &["aws_lambda_function"]) {
                let Some(node) = self.nodes.get(&function).cloned() else { continue };
                self.entry(&node, None, "Lambda's interface is HTTPS");
                if let Some(node) = self.draft.named(Kind::Node, &node) {
                    node.comment("its permissions let any account call it");
                }
            }
        }
        for id in plan.of(&["aws_lambda_event_source_mapping"]) {
            let sources = plan.find(id, &["event_source_arn"], &["aws_sqs_queue", "aws_dynamodb_table"]);
            for function in plan.find(id, &["function_name"], &["aws_lambda_function"]) {
                let Some(node) = self.nodes.get(&function).cloned() else { continue };
                for source in &sources {
                    if let Some(place) = self.stores.iter().position(|s| s.id == *source) {
                        self.stores_flow(&node, place, true, false, false, "it is called with what is there");
                    }
                }
            }
        }
    }

    /// Variables of an environment whose names say that they are secrets; their values are not looked at.
    fn secrets_in(&mut self, id: usize, node: &str) {
        let plan = self.plan;
        let variables = plan.get(id).blocks("environment").into_iter().flat_map(|e| blocks(e, "variables"));
        let names: Vec<&str> = variables.flat_map(|v| v.entries()).map(|(name, _)| name.as_str()).collect();
        for name in names.into_iter().filter(|n| is_secret_name(n)) {
            self.secret_of(id, node, name);
        }
    }

    fn secret_of(&mut self, id: usize, node: &str, name: &str) {
        let (key, label) = (format!("{}:env:{name}", self.key(id)), self.label(id));
        let datum = self.draft.data(&key, &format!("{label}-{}", name.to_ascii_lowercase())).guess(
            "class",
            "secret",
            "its name says so",
        );
        let datum = datum
            .comment("a variable of the environment: whoever may read the configuration reads it")
            .name()
            .to_owned();
        if let Some(node) = self.draft.named(Kind::Node, node) {
            node.add("holds", datum);
        }
    }

    /// Something runs with a role.
    fn runs_as(&mut self, node: &str, role: usize, is_inside: bool) {
        let secret = self.principal(role);
        if let Some(node) = self.draft.named(Kind::Node, node) {
            node.add("holds", secret);
        }
        self.uses(node, role, is_inside);
    }

    fn tasks(&mut self) {
        let plan = self.plan;
        for ids in self.grouped(&["aws_ecs_service"]) {
            let Some(id) = ids.first().copied() else { continue };
            let (key, label) = (self.key(id), self.label(id));
            let groups = self.groups_of(&ids, &[&["network_configuration", "security_groups"]]);
            let subnets = plan.find(id, &["network_configuration", "subnets"], &["aws_subnet"]);
            let vpcs = self.vpcs_of(&groups);
            let zone = self.zone_of(&subnets, &vpcs);
            let node =
                self.draft.node(&key, &label).set("kind", "service").set("zone", zone.as_str()).name().to_owned();
            for id in &ids {
                self.nodes.insert(*id, node.clone());
            }
            let leads = subnets.is_empty() || subnets.iter().any(|s| leads_out(self.network.side(*s)));
            let is_public = plan.get(id).flag(&["network_configuration", "assign_public_ip"]) == Some(true) && leads;
            let is_page = self.network.rules(&groups).iter().any(|r| r.source == Source::Anybody && is_page(r));
            match is_public && is_page {
                true => self.guard_page(&node, &zone, &groups, true),
                false => self.guard(&node, &zone, &groups, None, false),
            }
            for task in plan.find(id, &["task_definition"], &["aws_ecs_task_definition"]) {
                for role in self.roles_of(&[task], &["task_role_arn"]) {
                    self.runs_as(&node, role, true);
                }
                self.names_stores(&[task], &node, &[&["container_definitions"]]);
                let containers = plan.get(task).text(&["container_definitions"]).and_then(|text| Tree::json(text).ok());
                let names: Vec<String> = containers
                    .iter()
                    .flat_map(|c| texts(c, &["environment", "name"]))
                    .filter(|n| is_secret_name(n))
                    .map(str::to_owned)
                    .collect();
                for name in names {
                    self.secret_of(task, &node, &name);
                }
            }
        }
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // `DB_PASSWORD_SECRET_ARN` names one and is none.
    let names_one = ["arn", "name", "id", "path", "file", "url"].iter().any(|end| name.ends_with(end));
    ["password", "passwd", "secret", "token", "api_key", "apikey", "private_key"].iter().any(|w| name.contains(w))
        && !names_one
}
