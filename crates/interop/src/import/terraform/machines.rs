//! Machines: logins, what they serve, and the metadata service that hands out their role.
use model::tree::Tree;
use serde_json::json;

use super::{
    Import,
    network::{self, DATABASES, LOGINS, Rule, Source},
    plan::texts,
};
use crate::draft::Kind;

/// A machine, however it is written.
pub(super) struct Machine<'a> {
    /// What it is called by, and its members.
    pub(super) ids: Vec<usize>,
    /// Blocks that may say `metadata_options`.
    pub(super) settings: Vec<&'a Tree>,
    pub(super) roles: Vec<usize>,
    pub(super) groups: Vec<usize>,
    pub(super) subnets: Vec<usize>,
    /// Whether it has a public address; nothing where its subnet decides.
    pub(super) address: Option<bool>,
    pub(super) has_key: bool,
    pub(super) is_encrypted: Option<bool>,
    /// What says so when nothing is written.
    pub(super) metadata: Option<(&'static str, &'static str)>,
}

impl<'p> Import<'p, '_> {
    pub(super) fn instances(&mut self) {
        let plan = self.plan;
        for ids in self.grouped(&["aws_instance", "aws_spot_instance_request"]) {
            let all = || ids.iter().map(|id| plan.get(*id));
            let templates: Vec<usize> = ids
                .iter()
                .flat_map(|id| plan.find(*id, &["launch_template", "id"], &["aws_launch_template"]))
                .collect();
            let mut settings: Vec<&Tree> = all().map(|r| r.values).collect();
            settings.extend(templates.iter().map(|t| plan.get(*t).values));
            let mut roles = self.roles_of(&ids, &["iam_instance_profile"]);
            roles.extend(self.roles_of(&templates, &["iam_instance_profile", "name"]));
            let has_eip = |id: &usize| {
                !plan.linking(*id, &["aws_eip"], &["instance"]).is_empty()
                    || !plan.linking(*id, &["aws_eip_association"], &["instance_id"]).is_empty()
            };
            let stated = all().find_map(|r| r.flag(&["associate_public_ip_address"]).filter(|p| *p || !plan.is_state));
            let known = all().any(|r| r.text(&["public_ip"]).is_some_and(|ip| !ip.is_empty()));
            let address =
                if ids.iter().any(has_eip) || known { Some(true) } else { stated.or(plan.is_state.then_some(false)) };
            let encrypted = |r: &super::plan::Resource<'_>| r.flag(&["root_block_device", "encrypted"]);
            let mut groups = self.groups_of(&ids, &[&["vpc_security_group_ids"], &["security_groups"]]);
            groups.extend(self.groups_of(&templates, &[&["vpc_security_group_ids"]]));
            let subnets: Vec<usize> = ids
                .iter()
                .flat_map(|id| plan.find(*id, &["subnet_id"], &["aws_subnet", "aws_default_subnet"]))
                .collect();
            let is_encrypted = match all().filter_map(encrypted).min() {
                None => (!plan.of(&["aws_ebs_encryption_by_default"]).is_empty()).then_some(true),
                known => known,
            };
            let has_key =
                all().any(|r| r.text(&["key_name"]).is_some_and(|k| !k.is_empty()) || r.is_configured("key_name"));
            let node = self.machine(Machine {
                settings,
                roles,
                groups,
                subnets,
                address,
                has_key,
                is_encrypted,
                metadata: None,
                ids: ids.clone(),
            });
            self.names_stores(&ids, &node, &[&["user_data"], &["user_data_base64"]]);
            self.keys_of(&ids, &node);
        }
    }

    pub(super) fn scaled(&mut self) {
        let plan = self.plan;
        let templates = &["aws_launch_template", "aws_launch_configuration"];
        for ids in self.grouped(&["aws_autoscaling_group"]) {
            let find = |id: usize| {
                let nested = ["launch_template", "mixed_instances_policy"].iter().flat_map(|key| {
                    plan.refers(id, &[key]).into_iter().filter(|t| plan.get(*t).is(templates)).collect::<Vec<_>>()
                });
                let mut all = plan.find(id, &["launch_configuration"], templates);
                all.extend(plan.find(id, &["launch_template", "id"], templates));
                all.extend(nested);
                all
            };
            let mut used: Vec<usize> = ids.iter().flat_map(|id| find(*id)).collect();
            used.sort_unstable();
            used.dedup();
            let machine = self.templated(&ids, &used, &["vpc_zone_identifier"]);
            let node = self.machine(machine);
            self.names_stores(&used, &node, &[&["user_data"]]);
        }
    }

    /// A machine that a launch template describes.
    pub(super) fn templated(&self, ids: &[usize], templates: &[usize], subnets: &[&str]) -> Machine<'p> {
        let plan = self.plan;
        let all = || templates.iter().map(|t| plan.get(*t));
        let address = all().find_map(|t| {
            t.flag(&["network_interfaces", "associate_public_ip_address"])
                .or_else(|| t.flag(&["associate_public_ip_address"]))
        });
        let mut roles = self.roles_of(templates, &["iam_instance_profile"]);
        roles.extend(["name", "arn"].iter().flat_map(|key| self.roles_of(templates, &["iam_instance_profile", key])));
        roles.sort_unstable();
        roles.dedup();
        let paths: [&[&str]; 3] =
            [&["vpc_security_group_ids"], &["security_groups"], &["network_interfaces", "security_groups"]];
        let encrypted = all().filter_map(|t| {
            t.flag(&["block_device_mappings", "ebs", "encrypted"])
                .or_else(|| t.flag(&["root_block_device", "encrypted"]))
        });
        Machine {
            ids: ids.to_vec(),
            settings: all().map(|t| t.values).collect(),
            roles,
            groups: self.groups_of(templates, &paths),
            subnets: ids.iter().flat_map(|id| plan.find(*id, subnets, &["aws_subnet", "aws_default_subnet"])).collect(),
            address,
            has_key: all().any(|t| t.text(&["key_name"]).is_some_and(|k| !k.is_empty()) || t.is_configured("key_name")),
            is_encrypted: encrypted.min(),
            metadata: None,
        }
    }

    /// Draws a machine: a login, services at the ports that are let in, its metadata service. The name of its node.
    fn machine(&mut self, machine: Machine<'_>) -> String {
        let Some(id) = machine.ids.first().copied() else { return String::new() };
        let (key, label) = (self.key(id), self.label(id));
        let vpcs = self.vpcs_of(&machine.groups);
        let zone = self.zone_of(&machine.subnets, &vpcs);
        let node = self.draft.node(&key, &label).set("kind", "service").set("zone", zone.as_str());
        if machine.ids.len() > 1 {
            node.comment(format!("{} of them", machine.ids.len()));
        }
        let name = node.name().to_owned();
        for id in &machine.ids {
            self.nodes.insert(*id, name.clone());
        }
        let maps = machine.subnets.iter().any(|s| self.plan.get(*s).flag(&["map_public_ip_on_launch"]) == Some(true));
        let leads = machine.subnets.is_empty()
            || machine.subnets.iter().any(|s| self.network.side(*s) != network::Side::Private);
        let is_public = machine.address.unwrap_or(maps) && leads;
        let rules = self.network.rules(&machine.groups);
        // From where each port is open decides what is drawn: a login that is open within does not make a public page a login.
        let login = LOGINS.iter().copied().find(|p| open(&rules, *p, is_public) == Some(true));
        let login = login.or_else(|| LOGINS.iter().copied().find(|p| open(&rules, *p, is_public).is_some()));
        let page = rules.iter().any(|r| r.source == Source::Anybody && is_public && is_page(r));
        let mut behind = Vec::new();
        if let Some(port) = login {
            if page && open(&rules, port, is_public) != Some(true) {
                self.draft.node(&key, &label).comment(format!("port {port} is open inside the network"));
                self.guard_page(&name, &zone, &machine.groups, is_public);
            } else {
                let windows = port == 3389 || port == 5985 || port == 5986;
                let node = self.draft.node(&key, &label).set("port", port);
                match (windows, port, machine.has_key) {
                    (true, ..) => _ = node.guess("auth", "password", "Windows asks for a password there"),
                    (_, 23, _) => _ = node.guess("auth", "password", "Telnet asks for a password"),
                    (_, _, true) => _ = node.set("auth", "key"),
                    _ => _ = node.guess("auth", "key", "no `key_name`; Amazon's images let nobody in by password"),
                }
                self.guard(&name, &zone, &machine.groups, Some(port), is_public);
                if page {
                    let page = self.page(id, &zone, &machine, is_public);
                    self.pages.insert(name.clone(), page.clone());
                    behind.push(page);
                }
            }
        } else if page {
            self.guard_page(&name, &zone, &machine.groups, is_public);
        } else {
            self.guard(&name, &zone, &machine.groups, None, is_public);
        }
        for port in DATABASES {
            let says = rules.iter().any(|r| r.has(port) && network::is_of_database(r));
            if let Some(word) = network::service_at(port).filter(|_| says) {
                behind.push(self.database_on(id, word, port, &zone, &machine, is_public));
            }
        }
        let imds = self.metadata(id, &name, &zone, &machine);
        for service in behind {
            // Whoever breaks into what runs on a machine asks for the role as the machine does.
            let is_store = self.draft.named(Kind::Node, &service).is_some_and(|n| n.text("kind") == Some("store"));
            if let (false, Some((imds, roles))) = (is_store, &imds) {
                for role in roles {
                    self.flow(&service, imds).add("returns", role.as_str()).via("local", true);
                }
            }
        }
        name
    }

    /// A page that the internet sees, on a machine that people log in to.
    fn page(&mut self, id: usize, zone: &str, machine: &Machine<'_>, is_public: bool) -> String {
        let (key, label) = (format!("{}:page", self.key(id)), self.label(id));
        let node = self.draft.node(&key, &format!("{label}-service")).set("kind", "service").set("zone", zone);
        let name = node.comment("what the machine serves; the machine itself is a login").name().to_owned();
        self.guard_page(&name, zone, &machine.groups, is_public);
        name
    }

    pub(super) fn guard_page(&mut self, name: &str, zone: &str, groups: &[usize], is_public: bool) {
        let rules = self.network.rules(groups);
        let first = rules
            .iter()
            .filter(|r| r.source == Source::Anybody && is_page(r))
            .map(|r| r.ports.0.max(1))
            .min()
            .unwrap_or(443);
        // What everybody sends says that everybody can connect.
        self.guard(name, zone, groups, Some(first), false);
        if !is_public {
            return;
        }
        let (users, requests) = (self.users(), self.requests());
        let flow = self.flow(&users, name).guess_add("carries", requests.as_str(), "its port is open to everybody");
        if first == 443 {
            flow.guess_via("tls", "1.2", "port 443");
        } else if first == 80 {
            flow.guess_via("tls", "none", "port 80");
        }
        if let Some(node) = self.draft.named(Kind::Node, name) {
            node.guess_add("reads", requests, "it answers them");
        }
    }

    fn database_on(
        &mut self,
        id: usize,
        word: &str,
        port: u16,
        zone: &str,
        machine: &Machine<'_>,
        is_public: bool,
    ) -> String {
        let (key, label) = (format!("{}:{word}", self.key(id)), self.label(id));
        let on = self.nodes.get(&id).cloned().unwrap_or_default();
        let wanted = if label.contains(word) { format!("{label}-database") } else { format!("{label}-{word}") };
        let datum = self.draft.data(&key, &format!("{label}-data"));
        datum.guess("class", "internal", "no tag says how sensitive it is");
        let datum = datum.name().to_owned();
        let node = self.draft.node(&key, &wanted).guess(
            "kind",
            "store",
            format!("its security group opens port {port}, that of {word}"),
        );
        node.set("zone", zone).set(
            "serves",
            vec![json!({ "port": port, "protocol": if word == "postgres" { "postgres" } else { "tcp" } })],
        );
        node.guess("auth", "password", "a plan does not say how it is configured");
        match machine.is_encrypted {
            Some(true) => _ = node.set("at_rest", "volume"),
            Some(false) => _ = node.set("at_rest", "none"),
            None => {
                _ = node.guess(
                    "at_rest",
                    "none",
                    "no encryption is written for its disks, and the documented default is none",
                )
            }
        }
        let node = node.guess("holds", vec![datum.clone()], "what it keeps is not in a plan").name().to_owned();
        let why = "it runs there";
        self.flow(&on, &node).guess_add("returns", datum.as_str(), why).guess_via("local", true, why).guess_via(
            "auth",
            "password",
            "a plan does not say how it is configured",
        );
        self.guard(&node, zone, &machine.groups, Some(port), is_public);
        node
    }

    /// The metadata service of a machine, which hands out the credentials of its role. Its node, and those.
    pub(super) fn metadata(
        &mut self,
        id: usize,
        name: &str,
        zone: &str,
        machine: &Machine<'_>,
    ) -> Option<(String, Vec<String>)> {
        if machine.roles.is_empty() {
            return None;
        }
        let options: Vec<&Tree> = network::nested(&machine.settings, "metadata_options");
        if options.iter().any(|o| o.text_at(&["http_endpoint"]) == Some("disabled")) {
            self.draft.node(&self.key(id), name).comment("its metadata service is off, so nothing there gets its role");
            return None;
        }
        let secrets: Vec<String> = machine.roles.iter().map(|r| self.principal(*r)).collect();
        let wanted = format!("{name}-imds");
        let key = format!("{}:imds", self.key(id));
        let accounts = self.plan.of(&["aws_ec2_instance_metadata_defaults"]);
        let account = accounts.iter().find_map(|a| self.plan.get(*a).text(&["http_tokens"]));
        let tokens: Vec<&str> = options.iter().flat_map(|o| texts(o, &["http_tokens"])).collect();
        let node = self.draft.node(&key, &wanted).set("kind", "service").set("zone", zone);
        node.comment("169.254.169.254, of the machine only");
        node.guess("logs", true, "CloudTrail's event history has what is done with a role, by default");
        if tokens.contains(&"optional") {
            node.set("auth", "none");
        } else if tokens.contains(&"required") || account == Some("required") {
            node.set("auth", "session-token");
        } else if let Some((word, why)) = machine.metadata {
            node.guess("auth", word, why);
        } else {
            node.guess("auth", "none", "`http_tokens` is not written, and its documented default is optional (IMDSv1), unless the image or account says otherwise");
        }
        let node = node.name().to_owned();
        let flow = self.flow(name, &node).via("local", true);
        for secret in &secrets {
            flow.add("returns", secret.as_str());
        }
        for role in machine.roles.clone() {
            self.uses(name, role, true);
        }
        Some((node, secrets))
    }

    /// The key pair of a machine, where Terraform makes it.
    fn keys_of(&mut self, ids: &[usize], node: &str) {
        let plan = self.plan;
        let pairs = ids.iter().flat_map(|id| plan.find(*id, &["key_name"], &["aws_key_pair"]));
        let made: Vec<usize> = pairs.flat_map(|p| plan.find(p, &["public_key"], &["tls_private_key"])).collect();
        for pair in made {
            let secret = self.key_pair(pair);
            let key = self.key(pair);
            self.draft.data(&key, &secret).add("opens", node);
        }
    }
}

/// Whether a port is open: to everybody, or within; nothing where it is shut.
fn open(rules: &[Rule], port: u16, is_public: bool) -> Option<bool> {
    let from = |source: &Source| rules.iter().any(|r| r.source == *source && r.has(port));
    if from(&Source::Anybody) && is_public {
        return Some(true);
    }
    (from(&Source::Anybody) || from(&Source::Private)).then_some(false)
}

/// Whether a rule is about something else than logins and databases.
pub(super) fn is_page(rule: &Rule) -> bool {
    let is_one = |ports: &[u16]| ports.iter().any(|p| rule.ports == (*p, *p));
    !is_one(&LOGINS) && !is_one(&DATABASES)
}
