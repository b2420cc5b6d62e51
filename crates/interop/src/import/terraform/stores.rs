//! What keeps data: buckets, databases, tables, queues, secrets. Who may read them by themselves, and how they are encrypted.
use super::{
    Import,
    network::{self, Source},
    plan::Resource,
    policy::{Document, gives_anybody},
};
use crate::draft::Kind;

/// A store, and what it takes to read and write it.
pub(super) struct Store {
    /// Its resource.
    pub(super) id: usize,
    /// Its node.
    pub(super) node: String,
    /// What it holds.
    pub(super) datum: String,
    /// The word of its service in ARNs.
    pub(super) service: &'static str,
    /// How its ARN may end.
    pub(super) tails: Vec<String>,
    /// Actions of which one is enough.
    pub(super) read: &'static [&'static str],
    /// The same for writing.
    pub(super) write: &'static [&'static str],
}

impl Import<'_, '_> {
    /// Every store.
    pub(super) fn stores(&mut self) {
        self.buckets();
        self.databases();
        self.caches();
        self.others();
        self.secrets();
    }

    /// A store and what it holds.
    pub(super) fn keep(
        &mut self,
        id: usize,
        zone: &str,
        service: &'static str,
        tail: &str,
        read: &'static [&'static str],
        write: &'static [&'static str],
    ) -> String {
        let (key, label) = (self.key(id), self.label(id));
        let node = self.draft.node(&key, &label).set("kind", "store").set("zone", zone).name().to_owned();
        let datum = self.datum_of(id, &format!("{label}-data"));
        if let Some(node) = self.draft.named(Kind::Node, &node) {
            node.guess("holds", vec![datum.clone()], "what it keeps is not in a plan; call it by its name");
        }
        self.nodes.insert(id, node.clone());
        let tails = match self.plan.get(id).text(&["name"]).or_else(|| self.plan.get(id).text(&["bucket"])) {
            // What is in a bucket has ARNs of its own.
            Some(name) if service == "s3" => vec![format!("{name}/object")],
            Some(name) => vec![format!("{tail}{name}")],
            None => Vec::new(),
        };
        self.stores.push(Store { id, node: node.clone(), datum, service, tails, read, write });
        node
    }

    /// The datum of a store, as sensitive as a tag or its name says.
    fn datum_of(&mut self, id: usize, wanted: &str) -> String {
        let of = self.plan.get(id);
        let key = self.key(id);
        let named = [Some(of.name), of.module_name(), of.text(&["bucket"])];
        let is_backup = named
            .iter()
            .flatten()
            .any(|n| ["backup", "dump", "snapshot"].iter().any(|w| n.to_ascii_lowercase().contains(w)));
        let tagged = class_of(of);
        let datum = self.draft.data(&key, wanted);
        if let Some(class) = tagged {
            datum.set("class", class).comment("classified by its tag");
        } else if is_backup {
            datum.guess(
                "class",
                "confidential",
                "a backup is all that somebody had, and no tag says how sensitive it is",
            );
        } else {
            datum.guess("class", "internal", "no tag says how sensitive it is");
        }
        datum.name().to_owned()
    }

    fn others(&mut self) {
        let plan = self.plan;
        let aws = self.zone.clone();
        for id in plan.of(&["aws_dynamodb_table"]) {
            let node = self.keep(
                id,
                &aws,
                "dynamodb",
                "table/",
                &["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"],
                &["dynamodb:PutItem"],
            );
            let by_kms = plan.get(id).flag(&["server_side_encryption", "enabled"]) == Some(true);
            let Some(noun) = self.draft.named(Kind::Node, &node) else { continue };
            noun.set("auth", "iam");
            match by_kms {
                true => _ = noun.set("at_rest", "kms"),
                false => {
                    _ = noun.guess(
                        "at_rest",
                        "volume",
                        "DynamoDB encrypts all tables, with a key of its own where none is written",
                    )
                }
            }
        }
        for id in plan.of(&["aws_efs_file_system"]) {
            let targets = plan.linking(id, &["aws_efs_mount_target"], &["file_system_id"]);
            let subnets: Vec<usize> =
                targets.iter().flat_map(|t| plan.find(*t, &["subnet_id"], &["aws_subnet"])).collect();
            let guards = self.groups_of(&targets, &[&["security_groups"]]);
            let vpcs = self.vpcs_of(&guards);
            let zone = self.zone_of(&subnets, &vpcs);
            let node = self.keep(
                id,
                &zone,
                "elasticfilesystem",
                "file-system/",
                &["elasticfilesystem:ClientMount"],
                &["elasticfilesystem:ClientWrite"],
            );
            if let Some(noun) = self.draft.named(Kind::Node, &node) {
                noun.set("serves", vec![serde_json::json!({ "port": 2049, "protocol": "tcp" })]);
                match plan.get(id).flag(&["encrypted"]) {
                    Some(true) => _ = noun.set("at_rest", "kms"),
                    Some(false) => _ = noun.set("at_rest", "none"),
                    None => {
                        _ = noun.guess(
                            "at_rest",
                            "none",
                            "`encrypted` is not written, and its documented default is false",
                        )
                    }
                }
            }
            self.guard(&node, &zone, &guards, Some(2049), false);
        }
        for id in plan.of(&["aws_elasticsearch_domain", "aws_opensearch_domain"]) {
            let of = plan.get(id);
            let guards = self.groups_of(&[id], &[&["vpc_options", "security_group_ids"]]);
            let subnets = plan.find(id, &["vpc_options", "subnet_ids"], &["aws_subnet"]);
            let is_inside = !of.blocks("vpc_options").is_empty() || of.is_configured("vpc_options");
            let vpcs = self.vpcs_of(&guards);
            let zone = if is_inside { self.zone_of(&subnets, &vpcs) } else { aws.clone() };
            let node = self.keep(id, &zone, "es", "domain/", &["es:ESHttpGet"], &["es:ESHttpPut"]);
            let kinds = &["aws_elasticsearch_domain_policy", "aws_opensearch_domain_policy"];
            let policies = plan.linking(id, kinds, &["domain_name"]).into_iter();
            let mut documents: Vec<Document> =
                policies.filter_map(|p| Document::of(plan, p, &["access_policies"])).collect();
            documents.extend(of.text(&["access_policies"]).map(Document::parse));
            let statements: Vec<_> = documents.iter().flat_map(|d| d.statements().to_vec()).collect();
            let has_users = of.flag(&["advanced_security_options", "enabled"]) == Some(true);
            let is_open = gives_anybody(&statements, &["es:ESHttpGet"], &self.matcher) && !has_users;
            let internet = (is_open && !is_inside).then(|| self.draft.internet());
            if let Some(noun) = self.draft.named(Kind::Node, &node) {
                match of.flag(&["encrypt_at_rest", "enabled"]) {
                    Some(true) => _ = noun.set("at_rest", "kms"),
                    Some(false) => _ = noun.set("at_rest", "none"),
                    None => {
                        _ = noun.guess(
                            "at_rest",
                            "none",
                            "`encrypt_at_rest` is not written, and its documented default is false",
                        )
                    }
                }
                noun.set("auth", if is_open { "none" } else { "iam" });
                if let Some(internet) = internet {
                    noun.add("exposed_to", internet).comment("its policy lets anybody read it");
                }
            }
            if is_inside {
                self.guard(&node, &zone, &guards, Some(443), false);
            }
        }
        for id in plan.of(&["aws_sqs_queue", "aws_sns_topic"]) {
            let of = plan.get(id);
            let is_queue = of.kind == "aws_sqs_queue";
            let (service, read, write): (&'static str, &'static [&'static str], &'static [&'static str]) =
                match is_queue {
                    true => ("sqs", &["sqs:ReceiveMessage"], &["sqs:SendMessage"]),
                    false => ("sns", &["sns:Subscribe"], &["sns:Publish"]),
                };
            let node = self.keep(id, &aws, service, "", read, write);
            let (kind, attribute) =
                if is_queue { ("aws_sqs_queue_policy", "queue_url") } else { ("aws_sns_topic_policy", "arn") };
            let policies = plan.linking(id, &[kind], &[attribute]).into_iter();
            let mut documents: Vec<Document> = policies.filter_map(|p| Document::of(plan, p, &["policy"])).collect();
            documents.extend(of.text(&["policy"]).map(Document::parse));
            let statements: Vec<_> = documents.iter().flat_map(|d| d.statements().to_vec()).collect();
            let is_open = gives_anybody(&statements, read, &self.matcher);
            let internet = is_open.then(|| self.draft.internet());
            let Some(noun) = self.draft.named(Kind::Node, &node) else { continue };
            match (of.values.get("kms_master_key_id").is_some() || of.is_configured("kms_master_key_id"), is_queue) {
                (true, _) => _ = noun.set("at_rest", "kms"),
                (false, true) if of.flag(&["sqs_managed_sse_enabled"]) == Some(false) => {
                    _ = noun.set("at_rest", "none")
                }
                (false, true) => _ = noun.guess("at_rest", "volume", "SQS encrypts new queues by itself (SSE-SQS)"),
                (false, false) => {
                    _ = noun.guess("at_rest", "none", "no key is written, and a topic has none by itself")
                }
            }
            match internet {
                Some(internet) => {
                    _ = noun.set("auth", "none").add("exposed_to", internet).comment("its policy lets anybody read it")
                }
                None => _ = noun.set("auth", "iam"),
            }
        }
    }

    fn secrets(&mut self) {
        let plan = self.plan;
        let aws = self.zone.clone();
        for id in plan.of(&["aws_secretsmanager_secret"]) {
            let (key, label) = (self.key(id), self.label(id));
            let mut rotations =
                plan.linking(id, &["aws_secretsmanager_secret_rotation"], &["secret_id"]).into_iter().peekable();
            let is_rotated = rotations.peek().is_some();
            let days = rotations.find_map(|r| plan.get(r).number(&["rotation_rules", "automatically_after_days"]));
            let datum = self.draft.data(&key, &label).set("class", "secret");
            if let Some(days) = days.filter(|d| (1..=1000).contains(d)) {
                datum.set("ttl", format!("{days}d"));
            }
            let datum = datum.name().to_owned();
            let node = self.draft.node(&key, &format!("{label}-secret")).set("kind", "store").set("zone", aws.as_str());
            node.set("auth", "iam").set("at_rest", "kms").add("holds", datum.as_str());
            if is_rotated {
                node.set("rotates", true);
            }
            let node = node.name().to_owned();
            self.nodes.insert(id, node.clone());
            let name = plan.get(id).text(&["name"]);
            let tails = name.map(|n| vec![format!("secret:{n}-AbCdEf"), format!("secret:{n}")]).unwrap_or_default();
            self.stores.push(Store {
                id,
                node,
                datum,
                service: "secretsmanager",
                tails,
                read: &["secretsmanager:GetSecretValue"],
                write: &["secretsmanager:PutSecretValue"],
            });
        }
        for id in plan.of(&["aws_ssm_parameter"]) {
            let of = plan.get(id);
            let (key, label) = (self.key(id), self.label(id));
            let is_secure = of.text(&["type"]) == Some("SecureString");
            let looks_secret = ["password", "secret", "token", "private_key", "api_key"]
                .iter()
                .any(|w| of.name.to_ascii_lowercase().contains(w));
            let keys = plan.find(id, &["value"], &["tls_private_key"]);
            let datum = match keys.first() {
                Some(pair) => self.key_pair(*pair),
                None => {
                    let datum = self.draft.data(&key, &label);
                    match (is_secure, looks_secret) {
                        (true, _) => _ = datum.set("class", "secret"),
                        (false, true) => {
                            _ = datum.guess(
                                "class",
                                "confidential",
                                "its name says that it is a secret: make it a SecureString",
                            )
                        }
                        (false, false) => _ = datum.guess("class", "internal", "a parameter that is not encrypted"),
                    }
                    datum.name().to_owned()
                }
            };
            let node =
                self.draft.node(&key, &format!("{label}-parameter")).set("kind", "store").set("zone", aws.as_str());
            node.set("auth", "iam").set("at_rest", if is_secure { "kms" } else { "none" }).add("holds", datum.as_str());
            let node = node.name().to_owned();
            self.nodes.insert(id, node.clone());
            let name = of.text(&["name"]).map(|n| n.trim_start_matches('/'));
            let tails = name.map(|n| vec![format!("parameter/{n}")]).unwrap_or_default();
            self.stores.push(Store {
                id,
                node,
                datum,
                service: "ssm",
                tails,
                read: &["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
                write: &["ssm:PutParameter"],
            });
        }
    }

    /// The secret half of a key pair.
    pub(super) fn key_pair(&mut self, id: usize) -> String {
        let (key, label) = (self.key(id), self.label(id));
        let word = if label.contains("key") { label } else { format!("{label}-key") };
        let datum = self.draft.data(&key, &word).set("class", "secret");
        datum.comment("Terraform makes it, and keeps it in its state as it is").name().to_owned()
    }

    /// The security groups of some resources.
    pub(super) fn groups_of(&self, ids: &[usize], paths: &[&[&str]]) -> Vec<usize> {
        let kinds = &["aws_security_group", "aws_default_security_group"];
        let mut all: Vec<usize> =
            ids.iter().flat_map(|id| paths.iter().flat_map(|p| self.plan.find(*id, p, kinds))).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The networks of some security groups.
    pub(super) fn vpcs_of(&self, groups: &[usize]) -> Vec<usize> {
        groups.iter().flat_map(|g| self.plan.find(*g, &["vpc_id"], &["aws_vpc", "aws_default_vpc"])).collect()
    }

    /// Puts a node behind its security groups: who can connect, from the internet only where it has a public address.
    pub(super) fn guard(
        &mut self,
        node: &str,
        zone: &str,
        groups: &[usize],
        port: Option<u16>,
        has_public_address: bool,
    ) {
        for group in groups {
            let members = self.members.entry(*group).or_default();
            if !members.iter().any(|m| m == node) {
                members.push(node.to_owned());
            }
        }
        let mut rules = self.network.rules(groups);
        match port {
            Some(port) => rules.retain(|r| r.has(port)),
            // Databases on a machine are nodes of their own.
            None => rules.retain(|r| !network::is_of_database(r)),
        }
        let mine = |source: &Source| rules.iter().any(|r| r.source == *source);
        let around = self.around(zone);
        if mine(&Source::Anybody) && has_public_address {
            let internet = self.draft.internet();
            if let Some(noun) = self.draft.named(Kind::Node, node) {
                noun.add("exposed_to", internet);
            }
        }
        if (mine(&Source::Private) || mine(&Source::Anybody))
            && let Some(noun) = self.draft.named(Kind::Node, node)
        {
            noun.add("exposed_to", around);
        }
        if mine(&Source::Some)
            && let Some(noun) = self.draft.named(Kind::Node, node)
        {
            noun.comment("some public addresses can connect to it too: who that is, is not in a plan");
        }
        self.guarded.push(super::Guarded { node: node.to_owned(), rules });
    }
}

/// The class that a tag gives.
pub(super) fn class_of(of: &Resource<'_>) -> Option<&'static str> {
    let tags = ["tags", "tags_all"].iter().filter_map(|k| of.values.get(k)).flat_map(|t| t.entries());
    let mut classes = tags.filter_map(|(key, value)| {
        let key: String = key.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let is_class = matches!(
            key.as_str(),
            "dataclassification"
                | "dataclass"
                | "classification"
                | "sensitivity"
                | "confidentiality"
                | "datasensitivity"
        );
        let word = value.text().filter(|_| is_class)?.to_ascii_lowercase();
        Some(match word.as_str() {
            "public" => "public",
            "internal" | "low" => "internal",
            "confidential" | "private" | "sensitive" | "medium" => "confidential",
            "restricted" | "high" | "pii" | "phi" | "pci" | "highly-confidential" | "strictly-confidential" => {
                "restricted"
            }
            "secret" => "secret",
            _ => return None,
        })
    });
    classes.next()
}

/// Used where the side of a subnet decides.
pub(super) fn leads_out(side: network::Side) -> bool {
    side == network::Side::Public
}
