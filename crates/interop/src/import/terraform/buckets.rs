//! Buckets: how they are encrypted, and who reads them by a policy or an access control list.
use super::{
    Import,
    plan::Resource,
    policy::{Document, gives_anybody},
};

const BUCKET_READS: &[&str] = &["s3:GetObject", "s3:ListBucket", "s3:GetObjectVersion"];

impl Import<'_, '_> {
    pub(super) fn buckets(&mut self) {
        let plan = self.plan;
        let account = plan.of(&["aws_s3_account_public_access_block"]);
        let mut logged: Vec<(usize, usize)> = Vec::new();
        for id in plan.of(&["aws_s3_bucket"]) {
            let of = plan.get(id);
            let parts = |kind: &str| plan.linking(id, &[kind], &["bucket"]);
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
}

/// Why a bucket is public, and what speaks against it.
struct Public {
    words: &'static str,
    doubt: Option<&'static str>,
}
