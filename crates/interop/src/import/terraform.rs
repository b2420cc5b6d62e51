//! `terraform show -json` of a plan or a state, as a model: what AWS would run, who could reach it, and what its roles may do.
//!
//! What the plan does not say is the provider's documented default, and marked as guessed. Values are read to decide and
//! never copied: names come from addresses, and of values only ports, regions and words of AWS are written.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Document, ImportError};
use crate::draft::{Draft, Kind, Noun};
use network::{Network, Rule};
use plan::Plan;
use policy::Matcher;
use rights::Rights;
use stores::Store;

mod buckets;
mod compute;
mod databases;
mod entries;
mod known;
mod machines;
mod managed;
mod network;
mod plan;
mod policy;
mod rights;
mod stores;
mod watch;

/// Most flows that security groups are read as: a rule between two groups is one for each pair of their members.
const GROUP_FLOWS_MAX: usize = 5_000;

/// Why files of Terraform's own language are refused.
pub(super) const SOURCE: &str = "this is Terraform's source, and only Terraform knows what it comes to: export the plan as JSON, \
     `terraform plan -out p && terraform show -json p > plan.json` (OpenTofu: `tofu`), and import that";

/// The line at which a text is seen to be HCL, Terraform's language, or a file of its variables.
pub(super) fn source_line(name: &str, text: &str) -> Option<usize> {
    if [".tf", ".tfvars", ".tofu", ".tf.json", ".tfvars.json"].iter().any(|end| name.ends_with(end)) {
        return Some(1);
    }
    let opens = |line: &str| {
        let words = [
            "resource \"",
            "data \"",
            "module \"",
            "variable \"",
            "output \"",
            "provider \"",
            "terraform {",
            "locals {",
        ];
        words.iter().any(|w| line.starts_with(w)) && line.trim_end().ends_with('{')
    };
    text.lines().position(opens).map(|at| at + 1)
}

/// Reads documents into a draft.
///
/// # Errors
/// A document is no plan or state.
pub fn read(documents: &[Document<'_>], draft: &mut Draft) -> Result<(), ImportError> {
    for document in documents {
        let Some(plan) = Plan::read(&document.tree) else {
            return Err(ImportError::Refused {
                place: document.file.to_owned(),
                why:
                    "this is no plan as JSON: `terraform plan -out p && terraform show -json p > plan.json` writes one \
                      (OpenTofu: `tofu`)"
                        .to_owned(),
            });
        };
        Import::new(&plan, document.file, draft).run();
    }
    Ok(())
}

/// One plan on its way into the draft.
struct Import<'p, 'd> {
    plan: &'p Plan<'p>,
    draft: &'d mut Draft,
    file: &'p str,
    network: Network,
    matcher: Matcher,
    /// The node that stands for a resource.
    nodes: HashMap<usize, String>,
    /// What a machine serves, where the machine itself is a login.
    pages: HashMap<String, String>,
    /// The nodes in a security group, or of a cluster.
    members: HashMap<usize, Vec<String>>,
    /// Nodes with the rules of their security groups.
    guarded: Vec<Guarded>,
    stores: Vec<Store>,
    rights: HashMap<usize, Rights>,
    /// The secret that stands for a role or user.
    principals: HashMap<usize, String>,
    /// The account's zone.
    zone: String,
}

/// A node that security groups stand before.
struct Guarded {
    node: String,
    /// Those that are about it.
    rules: Vec<Rule>,
}

impl<'p, 'd> Import<'p, 'd> {
    fn new(plan: &'p Plan<'p>, file: &'p str, draft: &'d mut Draft) -> Self {
        Self {
            plan,
            file,
            network: Network::new(plan),
            matcher: Matcher::default(),
            nodes: HashMap::new(),
            pages: HashMap::new(),
            members: HashMap::new(),
            guarded: Vec::new(),
            stores: Vec::new(),
            rights: HashMap::new(),
            principals: HashMap::new(),
            zone: String::new(),
            draft,
        }
    }

    fn run(&mut self) {
        let stem = self.file.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = stem.split('.').next().filter(|s| !["plan", "tfplan", "state", "terraform", "out"].contains(s));
        if let Some(stem) = stem {
            self.draft.title(stem);
        }
        if self.plan.all.iter().any(|r| !r.is_data && r.kind.starts_with("aws_")) {
            let zone = self.draft.zone("aws", "aws").comment("one account, as far as this plan says");
            if let Some(region) = self.plan.region {
                zone.set("region", region);
            }
            self.zone = zone.name().to_owned();
            self.stores();
            self.all_rights();
            self.compute();
            self.entries();
            self.group_flows();
            self.watch();
            self.addresses();
        }
        self.tell();
    }

    /// The key of a resource's noun.
    fn key(&self, id: usize) -> String {
        format!("terraform:{}:{}", self.file, self.plan.get(id).address)
    }

    /// What people call it: its name in the configuration; the module's where that says nothing.
    fn label(&self, id: usize) -> String {
        let of = self.plan.get(id);
        let generic = ["this", "main", "default", "self", "example", "test", "resource", "it"];
        let name = match of.module_name() {
            Some(module) if generic.contains(&of.name) => module,
            None if generic.contains(&of.name) => of.kind.trim_start_matches("aws_"),
            _ => of.name,
        };
        match &of.index {
            Some(index) if index.parse::<usize>().is_err() => format!("{name}-{index}"),
            _ => name.to_owned(),
        }
    }

    /// Resources of some types; those of one `count` are together.
    fn grouped(&self, kinds: &[&str]) -> Vec<Vec<usize>> {
        let mut order: Vec<Vec<usize>> = Vec::new();
        let mut at: HashMap<String, usize> = HashMap::new();
        for id in self.plan.of(kinds) {
            let of = self.plan.get(id);
            let numbered = of.index.as_ref().is_some_and(|i| i.parse::<usize>().is_ok());
            let address = if numbered {
                of.address.rsplit_once('[').map_or(of.address.as_str(), |(a, _)| a)
            } else {
                &of.address
            };
            match at.get(address).and_then(|n| order.get_mut(*n)) {
                Some(group) => group.push(id),
                None => {
                    at.insert(address.to_owned(), order.len());
                    order.push(vec![id]);
                }
            }
        }
        order
    }

    /// The zone of some subnets, or of a network.
    fn zone_of(&mut self, subnets: &[usize], vpcs: &[usize]) -> String {
        let mut vpcs = vpcs.to_vec();
        for subnet in subnets {
            vpcs.extend(self.plan.find(*subnet, &["vpc_id"], &["aws_vpc", "aws_default_vpc"]));
        }
        let Some(vpc) = vpcs.first().copied() else {
            let around = self.zone.clone();
            let zone = self.draft.zone("aws-network", "network").set("in", around);
            return zone.comment("a network that is not in this plan").name().to_owned();
        };
        let zone = self.vpc_zone(vpc);
        let both = self.network.has_both_sides(vpc);
        let side = subnets.iter().map(|s| self.network.side(*s)).min();
        match side.filter(|_| both) {
            Some(side @ (network::Side::Public | network::Side::Private)) => {
                let word = if side == network::Side::Public { "public" } else { "private" };
                let key = format!("{}:{word}", self.key(vpc));
                let one = self.draft.zone(&key, &format!("{zone}-{word}")).set("in", zone);
                let words = if side == network::Side::Public {
                    "subnets with a route to the internet"
                } else {
                    "subnets without one"
                };
                one.comment(words).name().to_owned()
            }
            _ => zone,
        }
    }

    fn vpc_zone(&mut self, vpc: usize) -> String {
        let (key, label, around) = (self.key(vpc), self.label(vpc), self.zone.clone());
        self.draft.zone(&key, &label).set("in", around).name().to_owned()
    }

    /// The zone around the subnets' zone: the network.
    fn around(&self, zone: &str) -> String {
        let of = self.draft.all(Kind::Zone).iter().find(|z| z.name() == zone);
        match of.and_then(|z| z.text("in")) {
            Some(around) if around != self.zone => around.to_owned(),
            _ => zone.to_owned(),
        }
    }

    /// What strangers and callers send, where nobody says what it is.
    fn requests(&mut self) -> String {
        let datum = self.draft.data("requests", "requests");
        datum.guess("class", "internal", "what people send is not in a plan");
        datum.name().to_owned()
    }

    /// Everybody who may use what is open to the internet.
    fn users(&mut self) -> String {
        let zone = self.draft.internet();
        let users = self.draft.node("internet-users", "users").set("kind", "party").set("zone", zone);
        users.comment("whoever uses what is open to the internet").name().to_owned()
    }

    /// The flow between two nodes.
    fn flow(&mut self, from: &str, to: &str) -> &mut Noun {
        let key = format!("terraform:{from}>{to}");
        // `mongodb-to-imds` reads better than `mongodb-mongodb-imds`.
        let wanted = match to.strip_prefix(from).and_then(|rest| rest.strip_prefix('-')) {
            Some(rest) => format!("{from}-to-{rest}"),
            None => format!("{from}-{to}"),
        };
        self.draft.flow(&key, &wanted, from, to)
    }

    /// A flow of requests, or of what a store holds.
    fn sends(&mut self, from: &str, to: &str, why: &str) {
        let held: Vec<String> =
            self.draft.named(Kind::Node, to).map(|n| n.list("holds").map(str::to_owned).collect()).unwrap_or_default();
        let is_store = self.draft.named(Kind::Node, to).is_some_and(|n| n.text("kind") == Some("store"));
        if is_store && !held.is_empty() {
            let flow = self.flow(from, to);
            for datum in held {
                flow.guess_add("carries", datum.as_str(), why);
                flow.guess_add("returns", datum.as_str(), why);
            }
            return;
        }
        let requests = self.requests();
        self.flow(from, to).guess_add("carries", requests.as_str(), why);
        if let Some(node) = self.draft.named(Kind::Node, to) {
            node.guess_add("reads", requests.as_str(), "it answers them");
        }
    }

    fn is_flow(&self, from: &str, to: &str) -> bool {
        self.draft.find(Kind::Flow, &format!("terraform:{from}>{to}")).is_some()
    }

    /// What security groups let in from other groups.
    fn group_flows(&mut self) {
        let mut looked = 0;
        for guarded in std::mem::take(&mut self.guarded) {
            let groups = guarded.rules.iter().filter_map(|rule| match rule.source {
                network::Source::Group(group) => Some(group),
                _ => None,
            });
            let groups: BTreeSet<usize> = groups.collect();
            let members: Vec<String> = groups.iter().filter_map(|g| self.members.get(g)).flatten().cloned().collect();
            for member in members {
                looked += 1;
                if looked > GROUP_FLOWS_MAX {
                    let why = format!("there are more than {GROUP_FLOWS_MAX}: import the plan in parts");
                    return self.draft.left_out(self.file, "flows that security groups let in", why);
                }
                let to = &guarded.node;
                if member != *to && !self.is_flow(&member, to) && !self.is_flow(to, &member) {
                    self.sends(&member, to, "a security group lets it in; whether it is used is not in a plan");
                }
            }
        }
    }

    /// Addresses that are known, so that what calls them leads there.
    fn addresses(&mut self) {
        let mut nodes: Vec<(usize, String)> = self.nodes.iter().map(|(id, node)| (*id, node.clone())).collect();
        nodes.sort_unstable();
        for (id, node) in nodes {
            for key in [
                "address",
                "endpoint",
                "reader_endpoint",
                "dns_name",
                "primary_endpoint_address",
                "configuration_endpoint",
                "private_ip",
                "private_dns",
            ] {
                let Some(host) = self.plan.get(id).text(&[key]) else { continue };
                let host = host.trim_start_matches("https://");
                let (host, port) = match host.split_once(':') {
                    Some((host, port)) => (host, port.parse().ok()),
                    None => (host, None),
                };
                if host.contains('.') {
                    self.draft.answers(&node, host, port);
                }
            }
        }
    }

    /// What was seen and not taken over, once for each type.
    fn tell(&mut self) {
        let mut strange: BTreeMap<&str, usize> = BTreeMap::new();
        for resource in self.plan.all.iter().filter(|r| !r.is_data && !known::is_known(r.kind)) {
            *strange.entry(resource.kind).or_default() += 1;
        }
        for (kind, count) in strange {
            let why = match kind.split('_').next().unwrap_or_default() {
                "google" | "azurerm" | "azuread" | "alicloud" | "oci" | "digitalocean" | "hcloud" => {
                    "of clouds Ward reads AWS"
                }
                "kubernetes" | "helm" | "kubectl" => {
                    "import the manifests beside the plan: `kubectl get … -o yaml`, `helm template`"
                }
                _ => "Ward does not know what it means for the flow of data",
            };
            let times = if count == 1 { String::new() } else { format!(" ({count} of them)") };
            self.draft.left_out(self.file, format!("{kind}{times}"), why);
        }
        if self.network.is_cut {
            self.draft.left_out(
                self.file,
                "rules of security groups",
                "there are more than 50,000: import the plan in parts",
            );
        }
        if self.matcher.is_exhausted() {
            self.draft.left_out(
                self.file,
                "what some roles may do",
                "there are too many policies and stores to compare: import the plan in parts",
            );
        }
    }
}

#[cfg(test)]
mod tests;
