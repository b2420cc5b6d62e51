//! Plans: the exercise as a plan is graded as its document grades it, and nothing that a plan calls sensitive gets out.
use expect_test::expect;
use model::SourceFile;
use posture::{Attack, Input, Question, Severity, grade};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use time::macros::date;

use super::policy::{Can, Document, Matcher, Statement, Target, administers, can};
use crate::import::{Format, Imported, import};

const CURRENT: &str = include_str!("../../../../../examples/tasky/deployed/plan.json");
const SECURE: &str = include_str!("plans/tasky-secure.json");

fn read(text: &str) -> Imported {
    let file = SourceFile { name: "plan.json".to_owned(), text: text.to_owned() };
    import(&[file], Some(Format::Terraform)).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn loaded(text: &str) -> model::Model {
    let file = SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() };
    model::load(&[file]).model.expect("a model")
}

/// Findings as `severity id`, and the ways of attack.
fn graded(text: &str) -> (Vec<String>, Vec<String>) {
    let model = loaded(text);
    let findings = grade(Input { model: &model, text: None, today: date!(2026 - 11 - 22) });
    let findings =
        findings.iter().map(|f| format!("{} {}", format!("{:?}", f.severity).to_lowercase(), f.id)).collect();
    let paths = Attack::new(&model).paths(&Question::default(), None).expect("paths");
    (findings, paths.iter().map(|p| format!("{}: {}", p.to, p.way.join(", "))).collect())
}

/// A plan of these resources: type, name, values, expressions.
fn plan(resources: &[(&str, &str, Json, Json)]) -> String {
    let values = resources.iter().map(|(kind, name, values, _)| {
        json!({ "address": format!("{kind}.{name}"), "mode": "managed", "type": kind, "name": name, "values": values })
    });
    let written = resources.iter().map(|(kind, name, _, expressions)| {
        json!({ "address": format!("{kind}.{name}"), "mode": "managed", "type": kind, "name": name, "expressions": expressions })
    });
    json!({
        "format_version": "1.2",
        "planned_values": { "root_module": { "resources": values.collect::<Vec<_>>() } },
        "configuration": { "root_module": { "resources": written.collect::<Vec<_>>() } },
    })
    .to_string()
}

fn names(address: &str) -> Json {
    json!({ "references": [format!("{address}.id"), address] })
}

#[test]
fn the_exercise_as_a_plan() {
    let text = read(CURRENT).written.text;
    let (findings, paths) = graded(&text);
    // What its document names and a plan shows, with its severities. That S3 does not encrypt was true until January 2023, and
    // what is in the cluster is in no plan.
    let named = [
        "critical excess-privilege@mongodb-role",
        "critical open-metadata@mongodb-imds",
        "critical public-store@backups",
        "high exposed-admin@mongodb",
        "medium plaintext-flow@lb-app",
        "medium private-traffic-over-internet@mongodb-backups",
        "medium unguarded-entry@lb",
        "medium unlogged-flow@mongodb-backups",
    ];
    for one in named {
        assert!(findings.iter().any(|f| f == one), "no {one} in {findings:#?}\n{text}");
    }
    let more: Vec<&String> = findings.iter().filter(|f| !named.contains(&f.as_str())).collect();
    assert!(more.len() <= 3 && more.iter().all(|f| !f.starts_with("critical") && !f.starts_with("high")), "{more:#?}");
    for way in ["aws-api: login mongodb, mongodb-role opens aws-api, open mongodb-imds", "backups-data: open backups"] {
        assert!(paths.iter().any(|p| p == way), "no {way} in {paths:#?}");
    }
}

#[test]
fn the_exercise_mended() {
    let text = read(SECURE).written.text;
    let (findings, paths) = graded(&text);
    let bad: Vec<_> = findings.iter().filter(|f| f.starts_with("critical") || f.starts_with("high")).collect();
    assert!(bad.is_empty() && paths.is_empty() && findings.len() <= 4, "{findings:#?}\n{paths:#?}\n{text}");
}

#[test]
fn nothing_sensitive_gets_out() {
    for text in [CURRENT, SECURE] {
        let imported = read(text);
        let all = serde_json::to_string(&imported).expect("json");
        assert!(!all.contains("hunter2") && !all.contains("IyEvYmlu"), "{all}");
    }
}

/// Whether statements administer, and what they may do with the bucket `data`.
fn power(statements: &str) -> (bool, Can) {
    let text = if statements.starts_with('[') { statements.to_owned() } else { format!("[{statements}]") };
    let document = Document::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{text}}}"#));
    let matcher = Matcher::default();
    let tails = ["data/object".to_owned()];
    let bucket = Target::Resource { id: 0, arn: None, service: "s3", tails: &tails };
    let statements: &[Statement] = document.statements();
    (administers(statements, &matcher).is_some(), can(statements, "s3:GetObject", bucket, &matcher))
}

#[test]
fn what_policies_come_to() {
    use Can::{Broadly, Maybe, Named, No};
    let allow =
        |actions: &str, resources: &str| format!(r#"{{"Effect":"Allow","Action":{actions},"Resource":{resources}}}"#);
    let deny =
        |actions: &str, resources: &str| format!(r#"{{"Effect":"Deny","Action":{actions},"Resource":{resources}}}"#);
    let both = |a: String, b: String| format!("[{a},{b}]");
    let any = r#""*""#;
    let under =
        |condition: &str| format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#);
    let rows: Vec<(String, bool, Can)> = vec![
        (allow(any, any), true, Broadly),
        (allow(r#""*:*""#, any), true, Broadly),
        (allow(r#"["iam:*"]"#, any), true, No),
        (allow(r#""IAM:*""#, any), true, No),
        (allow(r#"["ec2:*","s3:*","iam:*"]"#, any), true, Broadly),
        (allow(r#"["ec2:*","s3:*"]"#, any), false, Broadly),
        (allow(r#""s3:*""#, any), false, Broadly),
        (allow(r#""s3:Get*""#, any), false, Broadly),
        (allow(r#""s3:GetObject""#, r#""arn:aws:s3:::data/*""#), false, Named),
        (allow(r#""s3:GetObject""#, r#""arn:aws:s3:::data/reports/*""#), false, Named),
        (allow(r#""s3:GetObject""#, r#""arn:aws:s3:::data""#), false, No),
        (allow(r#""s3:GetObject""#, r#""arn:aws:s3:::other/*""#), false, No),
        (allow(r#""s3:GetObject""#, r#""arn:aws:s3:::*""#), false, Broadly),
        (allow(r#""s3:GetObject""#, r#""arn:aws:s3:::da*/*""#), false, Broadly),
        (allow(r#""s3:GetObject""#, r#""arn:aws:s3:::dat?/*""#), false, Named),
        (allow(r#""s3:PutObject""#, any), false, No),
        (allow(r#"["s3:ListBucket","s3:GetBucketLocation"]"#, any), false, No),
        (allow(r#""iam:PassRole""#, any), false, No),
        (allow(r#"["iam:PassRole","ec2:RunInstances"]"#, any), true, No),
        (allow(r#"["iam:PassRole","lambda:CreateFunction"]"#, any), true, No),
        (
            both(allow(r#""iam:PassRole""#, r#""arn:aws:iam::1:role/app""#), allow(r#""ec2:RunInstances""#, any)),
            false,
            No,
        ),
        (both(allow(r#""iam:PassRole""#, r#""arn:aws:iam::*:role/*""#), allow(r#""ec2:RunInstances""#, any)), true, No),
        (allow(r#""iam:CreatePolicyVersion""#, any), true, No),
        (allow(r#""iam:CreatePolicyVersion""#, r#""arn:aws:iam::1:policy/own""#), false, No),
        (allow(r#""iam:AttachRolePolicy""#, any), true, No),
        (allow(r#""iam:PutUserPolicy""#, r#""arn:aws:iam::123456789012:user/*""#), true, No),
        (allow(r#""iam:CreateAccessKey""#, any), true, No),
        (allow(r#"["iam:Get*","iam:List*"]"#, any), false, No),
        (allow(r#"["iam:UpdateAssumeRolePolicy","sts:AssumeRole"]"#, any), true, No),
        (allow(r#""sts:AssumeRole""#, any), false, No),
        (both(allow(any, any), deny(r#""iam:*""#, any)), true, Broadly),
        (both(allow(r#""iam:*""#, any), deny(r#""iam:*""#, any)), false, No),
        (both(allow(any, any), deny(any, any)), false, No),
        (both(allow(r#""s3:*""#, any), deny(r#""s3:*""#, r#"["arn:aws:s3:::data","arn:aws:s3:::data/*"]"#)), false, No),
        (r#"{"Effect":"Allow","NotAction":["iam:*","organizations:*"],"Resource":"*"}"#.to_owned(), true, Broadly),
        (r#"{"Effect":"Allow","NotAction":["s3:*"],"Resource":"*"}"#.to_owned(), true, No),
        (
            r#"{"Effect":"Allow","Action":"s3:*","NotResource":["arn:aws:s3:::data","arn:aws:s3:::data/*"]}"#
                .to_owned(),
            false,
            No,
        ),
        (r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::other/*"}"#.to_owned(), false, Broadly),
        (under(r#"{"StringEquals":{"aws:PrincipalTag/team":"x"}}"#), false, Maybe),
        (under(r#"{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}"#), true, Broadly),
        (r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#.to_owned(), false, No),
        (
            both(
                allow(any, any),
                r#"{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#
                    .to_owned(),
            ),
            true,
            Broadly,
        ),
        ("{}".to_owned(), false, No),
        ("[1,[],null]".to_owned(), false, No),
    ];
    for (policy, is_admin, reads) in rows {
        assert_eq!(power(&policy), (is_admin, reads), "{policy}");
    }
}

/// The node of a name in the text, as one line.
fn node(text: &str, name: &str) -> model::Node {
    let model = loaded(text);
    model.nodes.iter().find(|(n, _)| n.as_str() == name).unwrap_or_else(|| panic!("no {name} in\n{text}")).1.clone()
}

#[test]
fn who_reads_a_bucket() {
    let anybody =
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}"#;
    let network = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}}]}"#;
    let other = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"s3:*","Resource":"*"}]}"#;
    let tls = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}"#;
    let writes = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"*"}]}"#;
    let block = |acl: bool, policy: bool| json!({ "block_public_acls": acl, "ignore_public_acls": acl, "block_public_policy": policy, "restrict_public_buckets": policy });
    let open = Some(block(false, false));
    // Policy, access control list, block of the bucket, of the account, ownership; whether it is public.
    type Row<'r> = (Option<&'r str>, Option<&'r str>, Option<Json>, Option<Json>, Option<&'r str>, bool);
    let rows: Vec<Row<'_>> = vec![
        (None, None, None, None, None, false),
        (Some(anybody), None, open.clone(), None, None, true),
        (Some(anybody), None, None, None, None, true),
        (Some(anybody), None, Some(block(true, false)), None, None, true),
        (Some(anybody), None, Some(block(false, true)), None, None, false),
        (Some(anybody), None, open.clone(), Some(block(true, true)), None, false),
        (Some(network), None, open.clone(), None, None, false),
        (Some(other), None, open.clone(), None, None, false),
        (Some(tls), None, open.clone(), None, None, false),
        (Some(writes), None, open.clone(), None, None, false),
        (None, Some("public-read"), open.clone(), None, None, true),
        (None, Some("public-read-write"), open.clone(), None, Some("ObjectWriter"), true),
        (None, Some("authenticated-read"), open.clone(), None, None, true),
        (None, Some("private"), open.clone(), None, None, false),
        (None, Some("log-delivery-write"), open.clone(), None, None, false),
        (None, Some("public-read"), Some(block(true, false)), None, None, false),
        (None, Some("public-read"), Some(block(false, true)), None, None, true),
        (None, Some("public-read"), open.clone(), Some(block(true, false)), None, false),
        (None, Some("public-read"), open.clone(), None, Some("BucketOwnerEnforced"), false),
        (Some("no policy"), None, open, None, None, false),
    ];
    for (n, (policy, acl, own, account, ownership, is_public)) in rows.into_iter().enumerate() {
        let at = || json!({ "bucket": names("aws_s3_bucket.b") });
        let mut all = vec![("aws_s3_bucket", "b", json!({}), json!({}))];
        all.extend(policy.map(|p| ("aws_s3_bucket_policy", "b", json!({ "policy": p }), at())));
        all.extend(acl.map(|a| ("aws_s3_bucket_acl", "b", json!({ "acl": a }), at())));
        all.extend(own.map(|o| ("aws_s3_bucket_public_access_block", "b", o, at())));
        all.extend(account.map(|o| ("aws_s3_account_public_access_block", "a", o, json!({}))));
        all.extend(
            ownership.map(|o| {
                ("aws_s3_bucket_ownership_controls", "b", json!({ "rule": [{ "object_ownership": o }] }), at())
            }),
        );
        let text = read(&plan(&all)).written.text;
        let bucket = node(&text, "b");
        assert_eq!(bucket.auth == Some(model::Auth::None), is_public, "row {n}\n{text}");
        assert_eq!(!bucket.exposed_to.is_empty(), is_public, "row {n}\n{text}");
    }
}

#[test]
fn what_security_groups_let_in() {
    let rule = |from: i64, to: i64, protocol: &str, cidr: &str| {
        let (v4, v6) = if cidr.contains(':') { (vec![], vec![cidr]) } else { (vec![cidr], vec![]) };
        json!({ "from_port": from, "to_port": to, "protocol": protocol, "cidr_blocks": v4, "ipv6_cidr_blocks": v6, "security_groups": [], "self": false })
    };
    // The rule; whether the machine has a public address; its login port, and whether the internet reaches that.
    let rows = [
        (rule(22, 22, "tcp", "0.0.0.0/0"), true, Some(22), true),
        (rule(22, 22, "tcp", "0.0.0.0/0"), false, Some(22), false),
        (rule(22, 22, "tcp", "::/0"), true, Some(22), true),
        (rule(20, 25, "tcp", "0.0.0.0/0"), true, Some(22), true),
        (rule(0, 0, "-1", "0.0.0.0/0"), true, Some(22), true),
        (rule(0, 65535, "tcp", "0.0.0.0/0"), true, Some(22), true),
        (rule(22, 22, "tcp", "0.0.0.0/1"), true, Some(22), true),
        (rule(3389, 3389, "tcp", "0.0.0.0/0"), true, Some(3389), true),
        (rule(22, 22, "tcp", "10.0.0.0/8"), true, Some(22), false),
        (rule(22, 22, "tcp", "fd00::/8"), true, Some(22), false),
        (rule(22, 22, "tcp", "203.0.113.7/32"), true, None, false),
        (rule(22, 22, "udp", "0.0.0.0/0"), true, None, false),
        (rule(-1, -1, "icmp", "0.0.0.0/0"), true, None, false),
        (rule(443, 443, "tcp", "0.0.0.0/0"), true, None, false),
        (rule(27017, 27017, "tcp", "0.0.0.0/0"), true, None, false),
    ];
    for (n, (ingress, address, port, is_exposed)) in rows.into_iter().enumerate() {
        let text = read(&plan(&[
            ("aws_security_group", "g", json!({ "ingress": [ingress] }), json!({})),
            (
                "aws_instance",
                "m",
                json!({ "associate_public_ip_address": address }),
                json!({ "vpc_security_group_ids": names("aws_security_group.g") }),
            ),
        ]))
        .written
        .text;
        let machine = node(&text, "m");
        assert_eq!(machine.port, port, "row {n}\n{text}");
        assert_eq!(machine.exposed_to.iter().any(|z| z.as_str() == "internet"), is_exposed, "row {n}\n{text}");
    }
}

#[test]
fn groups_name_groups() {
    let text = read(&plan(&[
        ("aws_security_group", "app", json!({ "ingress": [] }), json!({})),
        ("aws_security_group", "db", json!({}), json!({})),
        (
            "aws_security_group_rule",
            "db",
            json!({ "type": "ingress", "from_port": 5432, "to_port": 5432, "protocol": "tcp" }),
            json!({ "security_group_id": names("aws_security_group.db"), "source_security_group_id": names("aws_security_group.app") }),
        ),
        (
            "aws_vpc_security_group_ingress_rule",
            "db",
            json!({ "from_port": 5432, "to_port": 5432, "ip_protocol": "tcp", "cidr_ipv4": "10.0.0.0/8" }),
            json!({ "security_group_id": names("aws_security_group.db") }),
        ),
        ("aws_instance", "shop", json!({}), json!({ "vpc_security_group_ids": names("aws_security_group.app") })),
        (
            "aws_db_instance",
            "orders",
            json!({ "engine": "postgres", "storage_encrypted": true, "password": "hunter2" }),
            json!({ "vpc_security_group_ids": names("aws_security_group.db"), "password": { "references": ["var.password"] } }),
        ),
    ]));
    assert!(!text.written.text.contains("hunter2"));
    assert_eq!(text.written.left_out, []);
    let (text, expect) = (
        text.written.text,
        expect![[r#"
        zones:
          # one account, as far as this plan says
          aws: {}
          # a network that is not in this plan
          network: { in: aws }

        data:
          orders-data:
            class: internal  # guessed: no tag says how sensitive it is
          # it is written in the configuration, and stands in Terraform's state
          orders-password: { class: secret, opens: [orders] }

        nodes:
          orders:
            kind: store
            zone: network
            holds: [orders-data]  # guessed: what it keeps is not in a plan; call it by its name
            serves: [{ port: 5432, protocol: postgres }]
            at_rest: kms
            auth: password
            exposed_to: [network]
          shop: { kind: service, zone: network }

        flows:
          - id: shop-orders
            from: shop
            to: orders
            carries: [orders-data]  # guessed: a security group lets it in; whether it is used is not in a plan
            returns: [orders-data]  # guessed: a security group lets it in; whether it is used is not in a plan
    "#]],
    );
    expect.assert_eq(text.split_once("\n\n").map_or("", |(_, rest)| rest));
}

#[test]
fn references_go_through_modules() {
    let resource = |address: &str, kind: &str, name: &str, values: Json| json!({ "address": address, "mode": "managed", "type": kind, "name": name, "values": values });
    let text = json!({
        "format_version": "1.2",
        "planned_values": { "root_module": { "child_modules": [
            { "address": "module.net", "resources": [resource("module.net.aws_security_group.this", "aws_security_group", "this",
                json!({ "ingress": [{ "from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"] }] }))] },
            { "address": "module.vm[\"a.b\"]", "resources": [resource("module.vm[\"a.b\"].aws_instance.this", "aws_instance", "this",
                json!({ "associate_public_ip_address": true }))] },
        ] } },
        "configuration": { "root_module": { "module_calls": {
            "net": { "module": {
                "resources": [{ "address": "aws_security_group.this", "mode": "managed", "type": "aws_security_group", "name": "this", "expressions": {} }],
                "outputs": { "group": { "expression": names("aws_security_group.this") } },
            } },
            "vm": {
                "expressions": { "groups": { "references": ["module.net.group", "module.net"] } },
                "module": {
                    "resources": [{ "address": "aws_instance.this", "mode": "managed", "type": "aws_instance", "name": "this",
                        "expressions": { "vpc_security_group_ids": { "references": ["var.groups"] } } }],
                },
            },
        } } },
    });
    let text = read(&text.to_string()).written.text;
    assert_eq!(node(&text, "vm").port, Some(22), "{text}");
}

#[test]
fn circles_end() {
    let text = json!({
        "planned_values": { "root_module": { "child_modules": [{ "address": "module.a", "resources": [
            { "address": "module.a.aws_instance.x", "mode": "managed", "type": "aws_instance", "name": "x", "values": {} }] }] } },
        "configuration": { "root_module": { "module_calls": { "a": {
            "expressions": { "v": { "references": ["module.a.o", "module.a"] } },
            "module": {
                "resources": [{ "mode": "managed", "type": "aws_instance", "name": "x", "expressions": { "subnet_id": { "references": ["var.v"] } } }],
                "outputs": { "o": { "expression": { "references": ["var.v", "var.v", "module.a.o"] } } },
                "module_calls": { "a": { "expressions": { "v": { "references": ["var.v"] } } } },
            },
        } } } },
    });
    read(&text.to_string());
}

#[test]
fn a_state_is_read_too() {
    let resources = json!([{ "address": "aws_s3_bucket.b", "mode": "managed", "type": "aws_s3_bucket", "name": "b",
        "values": { "id": "b", "bucket": "b", "acl": "public-read" } }]);
    let shown = json!({ "format_version": "1.0", "terraform_version": "1.9.0", "values": { "root_module": { "resources": resources } } });
    let raw = json!({ "version": 4, "terraform_version": "1.9.0", "resources": [{ "mode": "managed", "type": "aws_s3_bucket", "name": "b",
        "instances": [{ "attributes": { "id": "b", "bucket": "b", "acl": "public-read" } }] }] });
    for text in [shown, raw] {
        let text = read(&text.to_string()).written.text;
        assert!(text.contains("auth: none") && !text.contains("no public access block"), "{text}");
    }
}

#[test]
fn what_is_not_taken_over_is_told_once() {
    let imported = read(&plan(&[
        ("aws_instance", "a", json!({}), json!({})),
        ("google_storage_bucket", "a", json!({}), json!({})),
        ("google_storage_bucket", "b", json!({}), json!({})),
        ("aws_iot_thing", "a", json!({}), json!({})),
        ("random_id", "a", json!({}), json!({})),
    ]));
    let told: Vec<String> = imported.written.left_out.iter().map(|l| format!("{}: {}", l.what, l.why)).collect();
    assert_eq!(
        told,
        [
            "aws_iot_thing: Ward does not know what it means for the flow of data",
            "google_storage_bucket (2 of them): of clouds Ward reads AWS"
        ]
    );
}

#[test]
fn other_files_of_terraform_are_refused_with_the_way_to_a_plan() {
    for (name, text, format) in [
        ("plan.json", "{\"hello\": 1}", Some(Format::Terraform)),
        ("main.tf", "resource \"aws_s3_bucket\" \"b\" {\n}\n", None),
        ("-", "# buckets\nresource \"aws_s3_bucket\" \"b\" {\n  bucket = \"b\"\n}\n", None),
        ("prod.tfvars", "region = \"eu\"\n", None),
        ("main.tf.json", "{\"resource\": {}}", None),
    ] {
        let file = SourceFile { name: name.to_owned(), text: text.to_owned() };
        let error = import(&[file], format).expect_err("no plan").to_string();
        assert!(error.contains("terraform show -json p"), "{error}");
    }
}

#[test]
fn no_critical_finding_stands_on_a_guess_that_is_no_default() {
    let text = read(&plan(&[
        ("aws_db_instance", "orders", json!({ "engine": "mysql" }), json!({})),
        ("aws_elasticache_cluster", "cache", json!({ "engine": "redis" }), json!({})),
        ("aws_efs_file_system", "files", json!({}), json!({})),
        ("aws_ssm_parameter", "api_token", json!({ "type": "String" }), json!({})),
        ("aws_sqs_queue", "jobs", json!({}), json!({})),
        (
            "aws_lambda_function",
            "app",
            json!({ "environment": [{ "variables": { "DB_PASSWORD": "hunter2" } }] }),
            json!({ "environment": [{ "variables": names("aws_db_instance.orders") }] }),
        ),
    ]))
    .written
    .text;
    assert!(!text.contains("hunter2"));
    let model = loaded(&text);
    let findings = grade(Input { model: &model, text: None, today: date!(2026 - 11 - 22) });
    let critical: Vec<&str> =
        findings.iter().filter(|f| f.severity == Severity::Critical).map(|f| f.id.as_str()).collect();
    assert!(critical.is_empty(), "{critical:?}\n{text}");
}

/// The lines of a noun in the text, from its name to the next.
fn lines<'t>(text: &'t str, name: &str) -> &'t str {
    let start = text
        .find(&format!("\n  {name}:"))
        .or_else(|| text.find(&format!("id: {name}")))
        .unwrap_or_else(|| panic!("no {name} in\n{text}"));
    let rest = &text[start + 1..];
    let end = rest
        .char_indices()
        .find(|(at, c)| *at > 0 && *c == '\n' && !rest[at + 1..].starts_with("    "))
        .map_or(rest.len(), |(at, _)| at);
    &rest[..end]
}

#[test]
fn entries_and_what_is_before_them() {
    let balancer = || json!({ "load_balancer_arn": names("aws_lb.web"), "default_action": [{ "target_group_arn": names("aws_lb_target_group.web") }] });
    let text = read(&plan(&[
        ("aws_lb", "web", json!({ "internal": false }), json!({})),
        ("aws_lb", "inner", json!({ "internal": true }), json!({})),
        ("aws_lb_listener", "plain", json!({ "port": 80, "protocol": "HTTP", "default_action": [{ "type": "redirect", "redirect": [{ "protocol": "HTTPS" }] }] }), json!({ "load_balancer_arn": names("aws_lb.web") })),
        ("aws_lb_listener", "tls", json!({ "port": 443, "protocol": "HTTPS", "default_action": [{ "type": "forward" }] }), balancer()),
        ("aws_lb_target_group", "web", json!({ "protocol": "HTTPS" }), json!({})),
        ("aws_lb_target_group_attachment", "web", json!({}), json!({ "target_group_arn": names("aws_lb_target_group.web"), "target_id": names("aws_instance.shop") })),
        ("aws_instance", "shop", json!({}), json!({})),
        ("aws_wafv2_web_acl_association", "web", json!({}), json!({ "resource_arn": names("aws_lb.web") })),
        ("aws_lambda_function", "open", json!({}), json!({})),
        ("aws_lambda_function", "shut", json!({}), json!({})),
        ("aws_lambda_function_url", "open", json!({ "authorization_type": "NONE" }), json!({ "function_name": names("aws_lambda_function.open") })),
        ("aws_lambda_function_url", "shut", json!({ "authorization_type": "AWS_IAM" }), json!({ "function_name": names("aws_lambda_function.shut") })),
        ("aws_cloudfront_distribution", "site", json!({ "default_cache_behavior": [{ "viewer_protocol_policy": "redirect-to-https" }], "viewer_certificate": [{ "minimum_protocol_version": "TLSv1.2_2021" }] }),
            json!({ "origin": [{ "domain_name": names("aws_s3_bucket.pages") }] })),
        ("aws_s3_bucket", "pages", json!({}), json!({})),
        ("aws_apigatewayv2_api", "api", json!({}), json!({})),
        ("aws_apigatewayv2_route", "api", json!({ "authorization_type": "JWT" }), json!({ "api_id": names("aws_apigatewayv2_api.api") })),
        ("aws_apigatewayv2_integration", "api", json!({}), json!({ "api_id": names("aws_apigatewayv2_api.api"), "integration_uri": names("aws_lambda_function.shut") })),
    ]))
    .written
    .text;
    for (name, part) in [
        ("web", "guards: [waf]"),
        ("users-web", "tls: \"1.0\"  # guessed: `ssl_policy` is not written"),
        ("web-shop", "tls: \"1.2\""),
        ("open", "auth: none"),
        ("shut", "auth: iam"),
        ("users-shut", "auth: iam"),
        ("users-site", "tls: \"1.2\""),
        ("site-pages", "returns: [pages-data]"),
        ("api", "auth: jwt"),
        ("api-shut", "carries: [requests]"),
    ] {
        assert!(lines(&text, name).contains(part), "{name} has no {part}\n{text}");
    }
    assert!(!text.contains("id: users-inner"), "{text}");
}

#[test]
fn roles_and_what_they_open() {
    let policy = |actions: &str, resource: &str| {
        json!(format!(r#"{{"Statement":[{{"Effect":"Allow","Action":"{actions}","Resource":"{resource}"}}]}}"#))
    };
    let role = |name: &str| json!({ "role": names(&format!("aws_iam_role.{name}")) });
    let attach = |arn: &str| json!({ "policy_arn": format!("arn:aws:iam::aws:policy/{arn}") });
    let machine = |name: &str| json!({ "iam_instance_profile": names(&format!("aws_iam_instance_profile.{name}")) });
    let everybody = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
    let account =
        r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"sts:AssumeRole"}]}"#;
    let mut all = vec![
        ("aws_s3_bucket", "b", json!({ "bucket": "b" }), json!({})),
        ("aws_secretsmanager_secret", "token", json!({ "name": "prod/token" }), json!({})),
        (
            "aws_secretsmanager_secret_version",
            "token",
            json!({ "secret_string": "hunter2" }),
            json!({ "secret_id": names("aws_secretsmanager_secret.token") }),
        ),
        ("aws_iam_role", "open", json!({ "name": "open", "assume_role_policy": everybody }), json!({})),
        ("aws_iam_role_policy", "open", json!({ "policy": policy("s3:GetObject", "arn:aws:s3:::b/*") }), role("open")),
        ("aws_iam_role", "boss", json!({ "name": "boss", "assume_role_policy": account }), json!({})),
        ("aws_iam_role_policy_attachment", "boss", attach("AdministratorAccess"), role("boss")),
        ("aws_iam_role", "hopper", json!({ "name": "hopper" }), json!({})),
        (
            "aws_iam_role_policy",
            "hopper",
            json!({ "policy": policy("sts:AssumeRole", "arn:aws:iam::1:role/boss") }),
            role("hopper"),
        ),
        (
            "aws_iam_role",
            "bound",
            json!({ "name": "bound", "permissions_boundary": "arn:aws:iam::aws:policy/ReadOnlyAccess" }),
            json!({}),
        ),
        ("aws_iam_role_policy_attachment", "bound", attach("AdministratorAccess"), role("bound")),
        ("aws_iam_role", "unsure", json!({ "name": "unsure" }), json!({})),
        (
            "aws_iam_role_policy",
            "unsure",
            json!({}),
            json!({ "role": names("aws_iam_role.unsure"), "policy": names("aws_s3_bucket.b") }),
        ),
        ("aws_iam_role", "reader", json!({ "name": "reader" }), json!({})),
        (
            "aws_iam_role_policy",
            "reader",
            json!({ "policy": policy("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-west-1:1:secret:prod/token-??????") }),
            role("reader"),
        ),
        ("aws_iam_user", "ci", json!({ "name": "ci" }), json!({})),
        ("aws_iam_access_key", "ci", json!({ "secret": "hunter2" }), json!({ "user": names("aws_iam_user.ci") })),
        (
            "aws_iam_user_policy_attachment",
            "ci",
            attach("PowerUserAccess"),
            json!({ "user": names("aws_iam_user.ci") }),
        ),
    ];
    let machines = ["hopper", "bound", "unsure", "reader"];
    let profiles: Vec<String> = machines.iter().map(|m| format!("vm-{m}")).collect();
    for (role_name, vm) in machines.iter().zip(&profiles) {
        all.push(("aws_iam_instance_profile", role_name, json!({}), role(role_name)));
        all.push(("aws_instance", vm, json!({}), machine(role_name)));
    }
    let text = read(&plan(&all)).written.text;
    assert!(!text.contains("hunter2"), "{text}");
    for (name, part) in [
        ("open-role", "opens: [b]"),
        ("open-sts", "auth: none"),
        ("hopper-role", "opens: [aws-api, b, token-secret]"),
        ("unsure-role", "opens: [b]  # guessed"),
        ("reader-role", "opens: [token-secret]"),
        ("vm-reader-token-secret", "returns: [token]"),
        ("ci-access-key", "opens: [aws-api, b, token-secret]"),
        ("vm-reader-imds", "auth: none  # guessed: `http_tokens` is not written, and its documented default"),
    ] {
        assert!(lines(&text, name).contains(part), "{name} has no {part}\n{text}");
    }
    assert!(!lines(&text, "bound-role").contains("aws-api"), "{text}");
    assert!(!text.contains("boss-role"), "a role that nobody uses is not drawn\n{text}");
}

#[test]
fn pods_have_the_roles_of_their_accounts() {
    let trust = r#"{"Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::1:oidc-provider/x"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"x:sub":"system:serviceaccount:shop:app"}}}]}"#;
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}"#;
    let plan = plan(&[
        ("aws_s3_bucket", "b", json!({ "bucket": "b" }), json!({})),
        ("aws_iam_role", "pods", json!({ "name": "uploader", "assume_role_policy": trust }), json!({})),
        ("aws_iam_role_policy", "pods", json!({ "policy": policy }), json!({ "role": names("aws_iam_role.pods") })),
    ]);
    let manifests = "
apiVersion: v1
kind: ServiceAccount
metadata: { name: app, namespace: shop, annotations: { eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/uploader' } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: app, namespace: shop }
spec: { selector: { matchLabels: { a: b } }, template: { metadata: { labels: { a: b } }, spec: { serviceAccountName: app, containers: [{ name: a, image: app }] } } }
";
    let files = [("plan.json", plan.as_str()), ("app.yaml", manifests)]
        .map(|(name, text)| SourceFile { name: name.to_owned(), text: text.to_owned() });
    let [first, second] = files;
    for files in [[first.clone(), second.clone()], [second, first]] {
        let text = import(&files, None).expect("a model").written.text;
        let model = loaded(&text);
        let role = model.data.iter().find(|(_, d)| d.opens.iter().any(|n| n.as_str() == "b")).expect("a role").0;
        assert!(model.nodes.values().any(|n| n.holds.contains(role)), "{text}");
    }
}

#[test]
fn clusters_and_databases() {
    let cluster = |public: bool, cidrs: &[&str]| json!({ "vpc_config": [{ "endpoint_public_access": public, "public_access_cidrs": cidrs }] });
    let rule = json!([{ "from_port": 3306, "to_port": 3306, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"] }]);
    let text = read(&plan(&[
        ("aws_eks_cluster", "open", cluster(true, &["0.0.0.0/0"]), json!({})),
        ("aws_eks_cluster", "some", cluster(true, &["203.0.113.0/24"]), json!({})),
        ("aws_eks_cluster", "shut", cluster(false, &[]), json!({})),
        ("aws_eks_cluster", "plain", json!({ "encryption_config": [{ "resources": ["secrets"] }] }), json!({})),
        ("aws_security_group", "db", json!({ "ingress": rule }), json!({})),
        (
            "aws_db_instance",
            "shown",
            json!({ "engine": "mysql", "publicly_accessible": true, "manage_master_user_password": true }),
            json!({ "vpc_security_group_ids": names("aws_security_group.db") }),
        ),
        (
            "aws_db_instance",
            "hidden",
            json!({ "engine": "mysql", "storage_encrypted": false, "tags": { "DataClassification": "Restricted" } }),
            json!({ "vpc_security_group_ids": names("aws_security_group.db") }),
        ),
    ]))
    .written
    .text;
    let is_exposed = |name: &str| node(&text, name).exposed_to.iter().any(|z| z.as_str() == "internet");
    for (name, exposed) in [
        ("open-k8s-api", true),
        ("some-k8s-api", false),
        ("shut-k8s-api", false),
        ("plain-k8s-api", true),
        ("shown", true),
        ("hidden", false),
    ] {
        assert_eq!(is_exposed(name), exposed, "{name}\n{text}");
    }
    assert!(lines(&text, "plain-k8s-secrets").contains("at_rest: kms"), "{text}");
    assert!(lines(&text, "open-k8s-secrets").contains("at_rest: volume  # guessed"), "{text}");
    assert!(
        lines(&text, "hidden-data").contains("class: restricted") && lines(&text, "hidden").contains("at_rest: none"),
        "{text}"
    );
    assert!(lines(&text, "shown-secret").contains("rotates: true"), "{text}");
}

fn arbitrary() -> impl Strategy<Value = Json> {
    let words = [
        "*",
        "aws_instance.a",
        "aws_s3_bucket.b.id",
        "module.m.x",
        "var.x",
        "0.0.0.0/0",
        "22",
        "true",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Principal\":\"*\"}]}",
        "\u{1b}[0m\n- x: y",
        "",
    ];
    let keys = [
        "references",
        "constant_value",
        "vpc_security_group_ids",
        "ingress",
        "policy",
        "metadata_options",
        "http_tokens",
        "bucket",
        "role",
        "cidr_blocks",
        "from_port",
        "to_port",
        "protocol",
        "iam_instance_profile",
        "assume_role_policy",
        "subnet_id",
        "name",
        "arn",
        "tags",
        "vpc_config",
        "rule",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        proptest::sample::select(words.to_vec()).prop_map(Json::from),
        "\\PC{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::vec((proptest::sample::select(keys.to_vec()), inner), 0..5)
                .prop_map(|entries| Json::Object(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn any_values_make_a_model(resources in proptest::collection::vec(
        (proptest::sample::select(KINDS.to_vec()), proptest::sample::select(vec!["a", "b", "this"]), arbitrary(), arbitrary()), 1..12)
    ) {
        let file = SourceFile { name: "plan.json".to_owned(), text: plan(&resources) };
        match import(&[file], Some(Format::Terraform)) {
            Ok(_) => {}
            Err(crate::import::ImportError::Nothing(_)) => {}
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn any_json_is_read_or_refused(root in arbitrary(), other in arbitrary()) {
        for key in ["planned_values", "values", "resources", "resource_changes", "configuration", "prior_state"] {
            let text = json!({ key: { "root_module": root, "resources": other }, "terraform_version": other, "resource_changes": root }).to_string();
            let file = SourceFile { name: "plan.json".to_owned(), text };
            let _ = import(&[file], Some(Format::Terraform));
        }
    }
}

const KINDS: [&str; 30] = [
    "aws_instance",
    "aws_s3_bucket",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_acl",
    "aws_s3_bucket_public_access_block",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_policy",
    "aws_iam_role_policy_attachment",
    "aws_iam_instance_profile",
    "aws_security_group",
    "aws_security_group_rule",
    "aws_vpc_security_group_ingress_rule",
    "aws_vpc",
    "aws_subnet",
    "aws_route_table",
    "aws_route_table_association",
    "aws_db_instance",
    "aws_eks_cluster",
    "aws_eks_node_group",
    "aws_lb",
    "aws_lb_listener",
    "aws_lb_target_group",
    "aws_lambda_function",
    "aws_ecs_service",
    "aws_ecs_task_definition",
    "aws_cloudfront_distribution",
    "aws_apigatewayv2_api",
    "aws_autoscaling_group",
    "aws_launch_template",
];
