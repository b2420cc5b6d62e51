//! Databases and caches: who can connect, with which password, and how they are encrypted.
use super::Import;
use crate::draft::Kind;

impl Import<'_, '_> {
    pub(super) fn databases(&mut self) {
        let plan = self.plan;
        for group in self.grouped(&[
            "aws_db_instance",
            "aws_rds_cluster",
            "aws_docdb_cluster",
            "aws_redshift_cluster",
            "aws_neptune_cluster",
        ]) {
            let Some(id) = group.first().copied() else { continue };
            let of = plan.get(id);
            let engine = of.text(&["engine"]).unwrap_or_default();
            let (word, default) = match (of.kind, engine) {
                ("aws_docdb_cluster", _) => ("tcp", 27017),
                ("aws_redshift_cluster", _) => ("postgres", 5439),
                ("aws_neptune_cluster", _) => ("tcp", 8182),
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
            let mut instances = plan.linking(
                id,
                &["aws_rds_cluster_instance", "aws_docdb_cluster_instance", "aws_neptune_cluster_instance"],
                &["cluster_identifier"],
            );
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

    pub(super) fn caches(&mut self) {
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
}
