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

const BUCKET_READS: &[&str] = &["s3:GetObject", "s3:ListBucket", "s3:GetObjectVersion"];

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
    fn keep(
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

    fn buckets(&mut self) {
        let plan = self.plan;
        let account = plan.of(&["aws_s3_account_public_access_block"]);
        let mut logged: Vec<(usize, usize)> = Vec::new();
        for id in plan.of(&["aws_s3_bucket"]) {
            let of = plan.get(id);
            let parts = |kind: &str| -> Vec<usize> {
                plan.of(&[kind])
                    .into_iter()
                    .filter(|p| plan.find(*p, &["bucket"], &["aws_s3_bucket"]).contains(&id))
                    .collect()
            };
            let node = self.keep(id, &self.zone.clone(), "s3", "", &["s3:GetObject"], &["s3:PutObject"]);
            let encryption = parts("aws_s3_bucket_server_side_encryption_configuration");
            const RULE: [&str; 3] = ["rule", "apply_server_side_encryption_by_default", "sse_algorithm"];
            const OLD: [&str; 4] = [
                "server_side_encryption_configuration",
                "rule",
                "apply_server_side_encryption_by_default",
                "sse_algorithm",
            ];
            let algorithm = encryption.iter().find_map(|e| plan.get(*e).text(&RULE)).or_else(|| of.text(&OLD));
            let public = self.is_public_bucket(id, &account, &parts);
            let logs = !parts("aws_s3_bucket_logging").is_empty() || !of.blocks("logging").is_empty();
            for target in parts("aws_s3_bucket_logging")
                .into_iter()
                .flat_map(|l| plan.find(l, &["target_bucket"], &["aws_s3_bucket"]))
            {
                logged.push((id, target));
            }
            let is_website =
                !parts("aws_s3_bucket_website_configuration").is_empty() || !of.blocks("website").is_empty();
            let internet = public.is_some().then(|| self.draft.internet());
            let key = self.key(id);
            let node = self.draft.node(&key, &node);
            match algorithm {
                Some(a) if a.starts_with("aws:kms") => _ = node.set("at_rest", "kms"),
                Some(_) => _ = node.set("at_rest", "volume"),
                None => {
                    _ = node.guess(
                        "at_rest",
                        "volume",
                        "nothing is configured; S3 encrypts all new objects by itself since January 2023 (SSE-S3)",
                    )
                }
            }
            if logs {
                node.set("logs", true);
            }
            match (public, internet) {
                (Some(why), Some(internet)) => {
                    node.comment(why.words);
                    node.add("exposed_to", internet.as_str());
                    match why.doubt {
                        Some(doubt) => _ = node.guess("auth", "none", doubt),
                        None => _ = node.set("auth", "none"),
                    }
                    if is_website {
                        self.draft.data(&key, "").remove("class");
                        self.draft.data(&key, "").guess("class", "public", "the bucket is a web site");
                    }
                }
                _ => _ = node.set("auth", "iam"),
            }
        }
        for (of, target) in logged {
            let (Some(from), Some(to)) = (self.nodes.get(&of).cloned(), self.nodes.get(&target).cloned()) else {
                continue;
            };
            let lines =
                self.draft.data("log-lines", "log-lines").set("class", "internal").set("of", "log").name().to_owned();
            self.flow(&from, &to).add("carries", lines).guess_via("tls", "1.2", "S3 writes its access log");
        }
    }

    /// Whether anybody reads a bucket: by its policy or its access control list, where no block stands before them.
    fn is_public_bucket(&self, id: usize, account: &[usize], parts: &dyn Fn(&str) -> Vec<usize>) -> Option<Public> {
        let plan = self.plan;
        let of = plan.get(id);
        let blocks: Vec<usize> =
            parts("aws_s3_bucket_public_access_block").into_iter().chain(account.iter().copied()).collect();
        let is_blocked =
            |keys: [&str; 2]| blocks.iter().any(|b| keys.iter().any(|k| plan.get(*b).flag(&[k]) == Some(true)));
        // Only a block of the bucket itself overrides what new buckets have.
        let own = parts("aws_s3_bucket_public_access_block");
        let doubt = (own.is_empty() && !plan.is_state).then_some(
            "no public access block is written; S3 refuses this for buckets made since April 2023, unless the block is taken away",
        );
        let policies = parts("aws_s3_bucket_policy");
        let mut documents: Vec<Document> =
            policies.iter().filter_map(|p| Document::of(plan, *p, &["policy"])).collect();
        documents.extend(of.text(&["policy"]).map(Document::parse));
        let statements: Vec<_> = documents.iter().flat_map(|d| d.statements().to_vec()).collect();
        if gives_anybody(&statements, BUCKET_READS, &self.matcher)
            && !is_blocked(["block_public_policy", "restrict_public_buckets"])
        {
            return Some(Public { words: "its policy lets anybody read it", doubt });
        }
        let lists = parts("aws_s3_bucket_acl");
        let is_public_acl = |a: &str| matches!(a, "public-read" | "public-read-write" | "authenticated-read");
        let by_name = lists.iter().any(|l| plan.get(*l).text(&["acl"]).is_some_and(is_public_acl))
            || of.text(&["acl"]).is_some_and(is_public_acl);
        let grants = |r: &Resource<'_>, path: &[&str]| {
            r.texts(path).iter().any(|u| u.ends_with("/AllUsers") || u.ends_with("/AuthenticatedUsers"))
        };
        let by_grant =
            lists.iter().any(|l| grants(plan.get(*l), &["access_control_policy", "grant", "grantee", "uri"]))
                || grants(of, &["grant", "uri"]);
        let enforced = |o: &usize| plan.get(*o).text(&["rule", "object_ownership"]) == Some("BucketOwnerEnforced");
        let is_without = parts("aws_s3_bucket_ownership_controls").iter().any(enforced);
        if (by_name || by_grant) && !is_without && !is_blocked(["block_public_acls", "ignore_public_acls"]) {
            return Some(Public { words: "its access control list lets anybody read it", doubt });
        }
        None
    }

    fn databases(&mut self) {
        let plan = self.plan;
        for group in self.grouped(&["aws_db_instance", "aws_rds_cluster", "aws_docdb_cluster", "aws_redshift_cluster"])
        {
            let Some(id) = group.first().copied() else { continue };
            let of = plan.get(id);
            let engine = of.text(&["engine"]).unwrap_or_default();
            let (word, default) = match (of.kind, engine) {
                ("aws_docdb_cluster", _) => ("tcp", 27017),
                ("aws_redshift_cluster", _) => ("postgres", 5439),
                (_, e) if e.contains("postgres") => ("postgres", 5432),
                (_, e) if e.contains("sqlserver") => ("tcp", 1433),
                (_, e) if e.contains("oracle") => ("tcp", 1521),
                _ => ("tcp", 3306),
            };
            let port = of.number(&["port"]).and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0).unwrap_or(default);
            let groups = ["db_subnet_group_name", "cluster_subnet_group_name"]
                .iter()
                .flat_map(|k| plan.find(id, &[k], &["aws_db_subnet_group"]));
            let subnets: Vec<usize> = groups.flat_map(|g| plan.find(g, &["subnet_ids"], &["aws_subnet"])).collect();
            let guards = self.groups_of(&group, &[&["vpc_security_group_ids"]]);
            let vpcs = self.vpcs_of(&guards);
            let zone = self.zone_of(&subnets, &vpcs);
            let node = self.keep(id, &zone, "rds-db", "dbuser:", &["rds-db:connect"], &[]);
            for other in &group {
                self.nodes.insert(*other, node.clone());
            }
            let by_iam = of.flag(&["iam_database_authentication_enabled"]) == Some(true);
            let noun = self.draft.named(Kind::Node, &node);
            if let Some(noun) = noun {
                noun.set("serves", vec![serde_json::json!({ "port": port, "protocol": word })]);
                match (of.flag(&["storage_encrypted"]).or(of.flag(&["encrypted"])), of.text(&["engine_mode"])) {
                    (Some(true), _) => _ = noun.set("at_rest", "kms"),
                    (Some(false), _) => _ = noun.set("at_rest", "none"),
                    (None, Some("serverless")) => {
                        _ = noun.guess("at_rest", "kms", "serverless clusters are always encrypted")
                    }
                    (None, _) if of.is_configured("snapshot_identifier") || of.is_configured("replicate_source_db") => {
                        _ = noun.guess("at_rest", "volume", "it is as encrypted as what it is made from");
                    }
                    (None, _) => {
                        _ = noun.guess(
                            "at_rest",
                            "none",
                            "`storage_encrypted` is not written, and its documented default is false",
                        )
                    }
                }
                noun.set("auth", "password");
                if by_iam {
                    noun.comment("roles can log in too (IAM authentication)");
                }
                if !of.texts(&["enabled_cloudwatch_logs_exports"]).is_empty() || !of.blocks("logging").is_empty() {
                    noun.set("logs", true);
                }
            }
            self.password(id, &node);
            if self.forces_tls(id)
                && let Some(noun) = self.draft.named(Kind::Node, &node)
            {
                noun.comment("its parameters refuse connections without TLS");
                noun.remove("serves");
                noun.set("serves", vec![serde_json::json!({ "port": port, "protocol": "tls" })]);
            }
            let instances = plan.of(&["aws_rds_cluster_instance", "aws_docdb_cluster_instance"]).into_iter();
            let mut instances: Vec<usize> = instances
                .filter(|i| {
                    plan.find(*i, &["cluster_identifier"], &["aws_rds_cluster", "aws_docdb_cluster"]).contains(&id)
                })
                .collect();
            instances.push(id);
            let public = instances.iter().any(|i| plan.get(*i).flag(&["publicly_accessible"]) == Some(true));
            self.guard(&node, &zone, &guards, Some(port), public);
        }
    }

    /// The password of a database: a secret, never its value.
    fn password(&mut self, id: usize, node: &str) {
        let plan = self.plan;
        let of = plan.get(id);
        let is_managed = of.flag(&["manage_master_user_password"]) == Some(true);
        let is_written = ["password", "master_password", "password_wo", "master_password_wo"]
            .iter()
            .any(|k| of.values.get(k).is_some() || of.is_configured(k));
        if !is_managed && !is_written {
            return;
        }
        let (key, label) = (self.key(id), self.label(id));
        let datum = self
            .draft
            .data(&format!("{key}:password"), &format!("{label}-password"))
            .set("class", "secret")
            .add("opens", node);
        let name = datum.name().to_owned();
        if !is_managed {
            datum.comment("it is written in the configuration, and stands in Terraform's state");
            return;
        }
        datum.comment("RDS keeps it in Secrets Manager").guess(
            "ttl",
            "7d",
            "RDS changes the passwords that it manages every week",
        );
        let zone = self.zone.clone();
        let keeper = self
            .draft
            .node(&format!("{key}:password"), &format!("{label}-secret"))
            .set("kind", "store")
            .set("zone", zone);
        keeper.set("auth", "iam").set("at_rest", "kms").set("rotates", true).add("holds", name.as_str());
        let keeper = keeper.name().to_owned();
        self.flow(&keeper, node).add("carries", name.as_str()).guess_via(
            "tls",
            "1.2",
            "RDS sets the password that it manages",
        );
    }

    fn forces_tls(&self, id: usize) -> bool {
        let plan = self.plan;
        let kinds = &["aws_db_parameter_group", "aws_rds_cluster_parameter_group"];
        let groups =
            ["parameter_group_name", "db_cluster_parameter_group_name"].iter().flat_map(|k| plan.find(id, &[k], kinds));
        groups.into_iter().any(|g| {
            plan.get(g).blocks("parameter").iter().any(|p| {
                let forces = matches!(p.text_at(&["name"]), Some("rds.force_ssl" | "require_secure_transport"));
                forces
                    && p.text_at(&["value"])
                        .is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "on" | "true"))
            })
        })
    }

    fn caches(&mut self) {
        let plan = self.plan;
        for group in self.grouped(&["aws_elasticache_cluster", "aws_elasticache_replication_group"]) {
            let Some(id) = group.first().copied() else { continue };
            let of = plan.get(id);
            if of.kind == "aws_elasticache_cluster"
                && !plan.find(id, &["replication_group_id"], &["aws_elasticache_replication_group"]).is_empty()
            {
                continue;
            }
            let is_memcached = of.text(&["engine"]) == Some("memcached");
            let port = of
                .number(&["port"])
                .and_then(|p| u16::try_from(p).ok())
                .filter(|p| *p > 0)
                .unwrap_or(if is_memcached { 11211 } else { 6379 });
            let guards = self.groups_of(&group, &[&["security_group_ids"]]);
            let vpcs = self.vpcs_of(&guards);
            let zone = self.zone_of(&[], &vpcs);
            let node = self.keep(id, &zone, "elasticache", "user:", &[], &[]);
            let has_token = of.values.get("auth_token").is_some() || of.is_configured("auth_token");
            let is_encrypted = of.flag(&["transit_encryption_enabled"]) == Some(true);
            if let Some(noun) = self.draft.named(Kind::Node, &node) {
                noun.set(
                    "serves",
                    vec![serde_json::json!({ "port": port, "protocol": if is_encrypted { "tls" } else { "tcp" } })],
                );
                match of.flag(&["at_rest_encryption_enabled"]) {
                    Some(true) => _ = noun.set("at_rest", "kms"),
                    Some(false) => _ = noun.set("at_rest", "none"),
                    None => {
                        _ = noun.guess("at_rest", "none", "nothing is written, and the documented default is false")
                    }
                }
                match has_token {
                    true => _ = noun.set("auth", "password"),
                    false => _ = noun.guess("auth", "none", "it has no `auth_token`: whoever reaches it is let in"),
                }
            }
            if has_token {
                let (key, label) = (self.key(id), self.label(id));
                let datum = self
                    .draft
                    .data(&format!("{key}:password"), &format!("{label}-token"))
                    .set("class", "secret")
                    .add("opens", node.as_str());
                datum.comment("it is written in the configuration, and stands in Terraform's state");
            }
            self.guard(&node, &zone, &guards, Some(port), false);
        }
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
            let targets = plan.of(&["aws_efs_mount_target"]).into_iter();
            let targets: Vec<usize> = targets
                .filter(|t| plan.find(*t, &["file_system_id"], &["aws_efs_file_system"]).contains(&id))
                .collect();
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
            let policies = plan
                .of(&[kind])
                .into_iter()
                .filter(|p| plan.find(*p, &[attribute], &["aws_sqs_queue", "aws_sns_topic"]).contains(&id));
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
            let rotations = plan.of(&["aws_secretsmanager_secret_rotation"]).into_iter();
            let mut rotations = rotations
                .filter(|r| plan.find(*r, &["secret_id"], &["aws_secretsmanager_secret"]).contains(&id))
                .peekable();
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

/// Why a bucket is public, and what speaks against it.
struct Public {
    words: &'static str,
    doubt: Option<&'static str>,
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
