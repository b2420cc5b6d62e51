//! Where things are and who can connect to them: networks, which subnets lead to the internet, and what security groups let in.
use std::collections::{HashMap, HashSet};

use model::tree::Tree;

use super::plan::{Plan, blocks, constants, texts};

/// Most rules that are read of all security groups.
const RULES_MAX: usize = 50_000;
/// Most rules that are looked at of one node; AWS allows a thousand.
const RULES_OF_ONE_MAX: usize = 1_000;

/// From where a rule lets connections in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// `0.0.0.0/0`, `::/0`, or so much of it that it makes no difference.
    Anybody,
    /// Addresses of private networks (RFC 1918, RFC 4193).
    Private,
    /// Some public addresses.
    Some,
    /// Members of a security group, or nodes of a cluster.
    Group(usize),
}

/// One rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    /// First and last port.
    pub(super) ports: (u16, u16),
    /// From where.
    pub(super) source: Source,
}

/// Whether a subnet leads to the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Side {
    /// Its routes lead to an internet gateway.
    Public,
    /// They do not.
    Private,
    /// Its routes are not in the plan.
    Unknown,
}

/// Subnets and security groups of a plan.
pub(super) struct Network {
    sides: HashMap<usize, Side>,
    rules: HashMap<usize, Vec<Rule>>,
    /// Networks, and the sides that their subnets have.
    vpcs: HashMap<usize, HashSet<Side>>,
    /// Whether some rules were too many.
    pub(super) is_cut: bool,
}

impl Rule {
    /// Whether it lets this port in.
    pub(super) fn has(&self, port: u16) -> bool {
        self.ports.0 <= port && port <= self.ports.1
    }
}

impl Network {
    /// Reads routes and rules.
    pub(super) fn new(plan: &Plan<'_>) -> Self {
        let mut network = Self { sides: HashMap::new(), rules: HashMap::new(), vpcs: HashMap::new(), is_cut: false };
        network.routes(plan);
        network.groups(plan);
        network
    }

    /// Whether a subnet leads to the internet.
    pub(super) fn side(&self, subnet: usize) -> Side {
        self.sides.get(&subnet).copied().unwrap_or(Side::Unknown)
    }

    /// Whether a network has subnets that lead to the internet, and subnets that do not.
    pub(super) fn has_both_sides(&self, vpc: usize) -> bool {
        self.vpcs.get(&vpc).is_some_and(|sides| sides.contains(&Side::Public) && sides.contains(&Side::Private))
    }

    /// What the security groups let in.
    pub(super) fn rules(&self, groups: &[usize]) -> Vec<Rule> {
        let mut seen = HashSet::new();
        let all = groups.iter().filter_map(|g| self.rules.get(g)).flatten();
        all.filter(|rule| seen.insert(*rule)).take(RULES_OF_ONE_MAX).cloned().collect()
    }

    fn routes(&mut self, plan: &Plan<'_>) {
        const GATEWAY: &[&str] = &["aws_internet_gateway"];
        let mut public: HashSet<usize> = HashSet::new();
        for table in plan.of(&["aws_route_table", "aws_default_route_table"]) {
            let of = plan.get(table);
            let known = of.blocks("route");
            let everywhere = |cidr: &str| matches!(cidr, "0.0.0.0/0" | "::/0");
            let is_default =
                |r: &Tree| texts(r, &["cidr_block"]).into_iter().chain(texts(r, &["ipv6_cidr_block"])).any(everywhere);
            let leads_out =
                |r: &Tree| is_default(r) && r.text_at(&["gateway_id"]).is_some_and(|g| g.starts_with("igw-"));
            let by_id = known.iter().any(|r| leads_out(r));
            let by_reference = known.is_empty() || known.iter().any(|r| is_default(r));
            if by_id || by_reference && plan.refers(table, &["route"]).iter().any(|g| plan.get(*g).is(GATEWAY)) {
                public.insert(table);
            }
        }
        for route in plan.of(&["aws_route"]) {
            let of = plan.get(route);
            let cidr = of.text(&["destination_cidr_block"]).or_else(|| of.text(&["destination_ipv6_cidr_block"]));
            let gateway = of.text(&["gateway_id"]).is_some_and(|g| g.starts_with("igw-"));
            if matches!(cidr, Some("0.0.0.0/0" | "::/0"))
                && (gateway || !plan.find(route, &["gateway_id"], GATEWAY).is_empty())
            {
                public.extend(plan.find(route, &["route_table_id"], &["aws_route_table", "aws_default_route_table"]));
                // The main table of a network is named by the network.
                public.extend(plan.find(route, &["route_table_id"], &["aws_vpc", "aws_default_vpc"]));
            }
        }
        let side = |table: &usize| if public.contains(table) { Side::Public } else { Side::Private };
        for link in plan.of(&["aws_route_table_association"]) {
            let tables = plan.find(link, &["route_table_id"], &["aws_route_table", "aws_default_route_table"]);
            let Some(table) = tables.first() else { continue };
            for subnet in plan.find(link, &["subnet_id"], &["aws_subnet", "aws_default_subnet"]) {
                let of = self.sides.entry(subnet).or_insert(Side::Private);
                // Several links of one expression name all subnets: public if any of its tables is.
                *of = (*of).min(side(table));
            }
        }
        let mains: Vec<(usize, Vec<usize>)> = plan
            .of(&["aws_default_route_table", "aws_main_route_table_association"])
            .into_iter()
            .map(|id| {
                let vpc = ["vpc_id", "default_route_table_id"]
                    .iter()
                    .flat_map(|key| plan.find(id, &[key], &["aws_vpc", "aws_default_vpc"]));
                (id, vpc.collect())
            })
            .collect();
        for subnet in plan.of(&["aws_subnet", "aws_default_subnet"]) {
            if plan.get(subnet).kind == "aws_default_subnet" {
                self.sides.entry(subnet).or_insert(Side::Public);
            }
            let vpcs = plan.find(subnet, &["vpc_id"], &["aws_vpc", "aws_default_vpc"]);
            let main = mains.iter().find(|(_, of)| of.iter().any(|v| vpcs.contains(v)));
            let by_main = main.map(|(id, _)| match plan.get(*id).kind {
                "aws_default_route_table" => side(id),
                _ => plan.find(*id, &["route_table_id"], &["aws_route_table"]).first().map_or(Side::Unknown, side),
            });
            let by_vpc = vpcs.iter().any(|v| public.contains(v)).then_some(Side::Public);
            // A network that is made here has a main table that leads nowhere but into it.
            let otherwise = if vpcs.is_empty() { Side::Unknown } else { Side::Private };
            let side = *self.sides.entry(subnet).or_insert(by_main.or(by_vpc).unwrap_or(otherwise));
            for vpc in vpcs {
                self.vpcs.entry(vpc).or_default().insert(side);
            }
        }
    }

    fn groups(&mut self, plan: &Plan<'_>) {
        let groups = &["aws_security_group", "aws_default_security_group"];
        let sources = &["aws_security_group", "aws_default_security_group", "aws_eks_cluster"];
        let mut count = 0;
        let mut put = |group: usize, rules: Vec<Rule>| {
            count += rules.len();
            if count <= RULES_MAX {
                self.rules.entry(group).or_default().extend(rules);
            }
            count <= RULES_MAX
        };
        let mut fits = true;
        for group in plan.of(groups) {
            let of = plan.get(group);
            let known = of.blocks("ingress");
            for block in &known {
                let Some(ports) = ports(block, &["from_port", "to_port", "protocol"], known_number, known_text) else {
                    continue;
                };
                let mut rules =
                    rules_of(ports, &[texts(block, &["cidr_blocks"]), texts(block, &["ipv6_cidr_blocks"])].concat());
                let named = texts(block, &["security_groups"]).into_iter().flat_map(|s| plan.named(s));
                rules.extend(
                    named.filter(|s| plan.get(*s).is(sources)).map(|s| Rule { ports, source: Source::Group(s) }),
                );
                fits &= put(group, rules);
            }
            for block in of.configured("ingress") {
                let Some(expression) = block.get("security_groups") else {
                    if known.is_empty()
                        && let Some(ports) =
                            ports(block, &["from_port", "to_port", "protocol"], constant_number, constant_text)
                    {
                        fits &= put(
                            group,
                            rules_of(
                                ports,
                                &[constants(block, "cidr_blocks"), constants(block, "ipv6_cidr_blocks")].concat(),
                            ),
                        );
                    }
                    continue;
                };
                let ports = ports(block, &["from_port", "to_port", "protocol"], constant_number, constant_text);
                // A port that is a variable is that of the rule whose source is not known.
                let left = known
                    .iter()
                    .filter(|k| texts(k, &["cidr_blocks"]).is_empty() && texts(k, &["security_groups"]).is_empty());
                let mut left = left
                    .filter_map(|k| self::ports(k, &["from_port", "to_port", "protocol"], known_number, known_text));
                let Some(ports) = ports.or_else(|| left.next()) else { continue };
                let named =
                    plan.refers_in(group, expression).into_iter().filter(|s| plan.get(*s).is(sources) && *s != group);
                fits &= put(group, named.map(|s| Rule { ports, source: Source::Group(s) }).collect());
            }
        }
        for rule in plan.of(&["aws_security_group_rule"]) {
            let of = plan.get(rule);
            let Some(ports) = ports(of.values, &["from_port", "to_port", "protocol"], known_number, known_text) else {
                continue;
            };
            if of.text(&["type"]) != Some("ingress") {
                continue;
            }
            let rules = rules_of(ports, &[of.texts(&["cidr_blocks"]), of.texts(&["ipv6_cidr_blocks"])].concat());
            let named = plan.find(rule, &["source_security_group_id"], sources);
            let all: Vec<Rule> =
                rules.into_iter().chain(named.into_iter().map(|s| Rule { ports, source: Source::Group(s) })).collect();
            for group in plan.find(rule, &["security_group_id"], sources) {
                fits &= put(group, all.clone());
            }
        }
        for rule in plan.of(&["aws_vpc_security_group_ingress_rule"]) {
            let of = plan.get(rule);
            let Some(ports) = ports(of.values, &["from_port", "to_port", "ip_protocol"], known_number, known_text)
            else {
                continue;
            };
            let rules = rules_of(ports, &[of.texts(&["cidr_ipv4"]), of.texts(&["cidr_ipv6"])].concat());
            let named = plan.find(rule, &["referenced_security_group_id"], sources);
            let all: Vec<Rule> =
                rules.into_iter().chain(named.into_iter().map(|s| Rule { ports, source: Source::Group(s) })).collect();
            for group in plan.find(rule, &["security_group_id"], sources) {
                fits &= put(group, all.clone());
            }
        }
        self.is_cut = !fits;
    }
}

fn known_number(tree: &Tree, key: &str) -> Option<i64> {
    tree.get(key)?.number()
}

fn constant_number(tree: &Tree, key: &str) -> Option<i64> {
    constants(tree, key).first()?.parse().ok()
}

fn known_text(tree: &Tree, key: &str) -> Option<String> {
    tree.text_at(&[key]).map(str::to_owned)
}

fn constant_text(tree: &Tree, key: &str) -> Option<String> {
    constants(tree, key).first().map(|t| (*t).to_owned())
}

/// The ports of a rule about TCP; none where it is about something else.
fn ports(
    tree: &Tree,
    [from, to, protocol]: &[&str; 3],
    number: fn(&Tree, &str) -> Option<i64>,
    text: fn(&Tree, &str) -> Option<String>,
) -> Option<(u16, u16)> {
    match text(tree, protocol)?.to_ascii_lowercase().as_str() {
        "-1" | "all" => Some((0, u16::MAX)),
        "tcp" | "6" => {
            let (from, to) = (number(tree, from)?, number(tree, to)?);
            let port = |n: i64| u16::try_from(n).ok();
            match (from, to) {
                (-1, _) => Some((0, u16::MAX)),
                _ => Some((port(from)?, port(to)?)).filter(|(from, to)| from <= to),
            }
        }
        _ => None,
    }
}

fn rules_of(ports: (u16, u16), cidrs: &[&str]) -> Vec<Rule> {
    // There are three sorts of addresses, however many ranges there are.
    let mut rules: Vec<Rule> = Vec::new();
    for cidr in cidrs {
        let rule = Rule { ports, source: source(cidr) };
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// What sort of addresses these are.
pub(super) fn source(cidr: &str) -> Source {
    let (address, length) = cidr.split_once('/').unwrap_or((cidr, "32"));
    let length: u8 = length.parse().unwrap_or(32);
    match address.parse() {
        // A half, a quarter … of all addresses is anybody.
        Ok(std::net::IpAddr::V4(_)) if length < 8 => Source::Anybody,
        Ok(std::net::IpAddr::V4(v4)) if v4.is_private() || v4.is_loopback() || v4.is_link_local() => Source::Private,
        // Shared address space (RFC 6598), as inner networks of clusters use it.
        Ok(std::net::IpAddr::V4(v4)) if v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]) => Source::Private,
        Ok(std::net::IpAddr::V6(_)) if length < 8 => Source::Anybody,
        Ok(std::net::IpAddr::V6(v6)) if v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback() => {
            Source::Private
        }
        _ => Source::Some,
    }
}

/// What is known to listen at a port: its name, and whether it keeps data.
pub(super) fn service_at(port: u16) -> Option<&'static str> {
    Some(match port {
        1433 => "mssql",
        1521 => "oracle",
        3306 => "mysql",
        5432 => "postgres",
        5984 => "couchdb",
        6379 => "redis",
        8086 => "influxdb",
        9042 => "cassandra",
        9200 => "elasticsearch",
        11211 => "memcached",
        27017 => "mongodb",
        _ => return None,
    })
}

/// Every port of a database.
pub(super) const DATABASES: [u16; 11] = [1433, 1521, 3306, 5432, 5984, 6379, 8086, 9042, 9200, 11211, 27017];
/// Ports at which people log in: SSH, RDP, WinRM, Telnet.
pub(super) const LOGINS: [u16; 5] = [22, 3389, 5985, 5986, 23];

/// Whether a rule is about a database, and not about a range that has its port too.
pub(super) fn is_of_database(rule: &Rule) -> bool {
    rule.ports.1 - rule.ports.0 < 100 && DATABASES.iter().any(|p| rule.has(*p))
}

/// The members of a block in a tree, of whatever name.
pub(super) fn nested<'a>(trees: &[&'a Tree], key: &str) -> Vec<&'a Tree> {
    trees.iter().flat_map(|t| blocks(t, key)).collect()
}
