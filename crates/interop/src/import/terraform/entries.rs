//! Where requests come in: load balancers, distributions, interfaces of functions; what filters them, and where they go.
use super::Import;
use crate::draft::Kind;

const BALANCERS: &[&str] = &["aws_lb", "aws_alb", "aws_elb"];
const TARGETS: &[&str] = &["aws_lb_target_group", "aws_alb_target_group"];

impl Import<'_, '_> {
    /// Every entry.
    pub(super) fn entries(&mut self) {
        self.balancers();
        self.interfaces();
        self.distributions();
        self.walls();
    }

    /// An entry that the internet uses; `auth` where it asks who calls.
    pub(super) fn entry(&mut self, node: &str, auth: Option<&'static str>, why_tls: &str) {
        let (users, requests) = (self.users(), self.requests());
        let flow = self.flow(&users, node).add("carries", requests.as_str()).guess_via("tls", "1.2", why_tls);
        if let Some(auth) = auth {
            flow.via("auth", auth);
        }
        if let Some(node) = self.draft.named(Kind::Node, node) {
            node.guess_add("reads", requests, "it answers them");
            match auth {
                Some(auth) => _ = node.set("auth", auth),
                None => _ = node.set("auth", "none"),
            }
        }
    }

    fn balancers(&mut self) {
        let plan = self.plan;
        for id in plan.of(BALANCERS) {
            let of = plan.get(id);
            let (key, label) = (self.key(id), self.label(id));
            let groups = self.groups_of(&[id], &[&["security_groups"]]);
            let mut subnets = plan.find(id, &["subnets"], &["aws_subnet", "aws_default_subnet"]);
            subnets.extend(plan.find(id, &["subnet_mapping", "subnet_id"], &["aws_subnet"]));
            let vpcs = self.vpcs_of(&groups);
            let zone = self.zone_of(&subnets, &vpcs);
            let node = self.draft.node(&key, &label).set("kind", "service").set("zone", zone.as_str());
            if of.flag(&["access_logs", "enabled"]).unwrap_or(!of.blocks("access_logs").is_empty()) {
                node.set("logs", true);
            }
            let name = node.name().to_owned();
            self.nodes.insert(id, name.clone());
            let is_internal = of.flag(&["internal"]) == Some(true);
            let listeners = self.listeners(id);
            for group in &groups {
                self.members.entry(*group).or_default().push(name.clone());
            }
            let rules = self.network.rules(&groups);
            let is_open = |port: u16| {
                groups.is_empty() || rules.iter().any(|r| r.source == super::network::Source::Anybody && r.has(port))
            };
            let open: Vec<&Listener> = listeners.iter().filter(|l| is_open(l.port)).collect();
            let is_unknown = listeners.is_empty();
            if !is_internal && (!open.is_empty() || is_unknown && is_open(443)) {
                let (users, requests) = (self.users(), self.requests());
                // The weakest of what is asked for is what an attacker picks; one that sends on to HTTPS asks for nothing.
                let worst = open
                    .iter()
                    .filter(|l| !l.redirects)
                    .min_by_key(|l| l.tls.map(|(word, _)| word).unwrap_or("none").replace("none", "0"));
                let flow = self.flow(&users, &name).add("carries", requests);
                match worst.map(|l| l.tls) {
                    Some(Some((version, None))) => _ = flow.via("tls", version),
                    Some(Some((version, Some(why)))) => _ = flow.guess_via("tls", version, why),
                    Some(None) => _ = flow.via("tls", "none"),
                    None => {}
                }
            } else {
                let around = self.around(&zone);
                if let Some(node) = self.draft.named(Kind::Node, &name) {
                    node.add("exposed_to", around);
                }
            }
            let mut targets: Vec<usize> = listeners.iter().flat_map(|l| l.targets.iter().copied()).collect();
            targets.sort_unstable();
            targets.dedup();
            for target in targets {
                self.target(id, &name, target, &zone);
            }
            if of.kind == "aws_elb" {
                for instance in plan.find(id, &["instances"], &["aws_instance"]) {
                    if let Some(to) = self.nodes.get(&instance).map(|n| self.pages.get(n).unwrap_or(n).clone()) {
                        self.sends(&name, &to, "it passes requests on");
                    }
                }
            }
        }
    }

    fn listeners(&self, balancer: usize) -> Vec<Listener> {
        let plan = self.plan;
        let mut all = Vec::new();
        for block in plan.get(balancer).blocks("listener") {
            let is_tls = matches!(
                block.text_at(&["lb_protocol"]).map(str::to_ascii_lowercase).as_deref(),
                Some("https" | "ssl")
            );
            let port = block.get("lb_port").and_then(|p| p.number()).and_then(|p| u16::try_from(p).ok()).unwrap_or(80);
            all.push(Listener {
                port,
                tls: is_tls.then_some(("1.2", Some("its policy is not in this plan"))),
                targets: Vec::new(),
                redirects: false,
            });
        }
        for id in plan.linking(balancer, &["aws_lb_listener", "aws_alb_listener"], &["load_balancer_arn"]) {
            let of = plan.get(id);
            let port = of.number(&["port"]).and_then(|p| u16::try_from(p).ok()).unwrap_or(80);
            let tls = match of.text(&["protocol"]).unwrap_or("HTTP") {
                "HTTPS" | "TLS" => Some(match of.text(&["ssl_policy"]) {
                    Some(policy) => (version_of(policy), None),
                    None => (
                        "1.0",
                        Some(
                            "`ssl_policy` is not written, and the documented default, ELBSecurityPolicy-2016-08, takes TLS 1.0",
                        ),
                    ),
                }),
                _ => None,
            };
            let mut targets: Vec<usize> = vec![id];
            targets.extend(plan.linking(id, &["aws_lb_listener_rule"], &["listener_arn"]));
            let groups = targets.iter().flat_map(|t| {
                let paths: [&[&str]; 4] = [
                    &["default_action", "target_group_arn"],
                    &["default_action", "forward", "target_group", "arn"],
                    &["action", "target_group_arn"],
                    &["action", "forward", "target_group", "arn"],
                ];
                paths.iter().flat_map(|p| plan.find(*t, p, TARGETS)).collect::<Vec<_>>()
            });
            let groups: Vec<usize> = groups.collect();
            let actions = of.texts(&["default_action", "type"]);
            let redirects = !actions.is_empty()
                && actions.iter().all(|a| *a == "redirect")
                && of.texts(&["default_action", "redirect", "protocol"]).contains(&"HTTPS");
            all.push(Listener { port, tls, targets: groups, redirects });
        }
        all
    }

    /// What answers behind a target group.
    fn target(&mut self, balancer: usize, from: &str, target: usize, zone: &str) {
        let plan = self.plan;
        let mut found: Vec<usize> = Vec::new();
        for id in plan.linking(
            target,
            &["aws_lb_target_group_attachment", "aws_alb_target_group_attachment"],
            &["target_group_arn"],
        ) {
            found.extend(plan.find(id, &["target_id"], &["aws_instance", "aws_lambda_function", "aws_lb", "aws_alb"]));
        }
        found.extend(plan.linking(target, &["aws_autoscaling_group"], &["target_group_arns"]));
        for key in ["lb_target_group_arn", "alb_target_group_arn"] {
            for id in plan.linking(target, &["aws_autoscaling_attachment"], &[key]) {
                found.extend(plan.find(id, &["autoscaling_group_name"], &["aws_autoscaling_group"]));
            }
        }
        found.extend(plan.linking(target, &["aws_ecs_service"], &["load_balancer", "target_group_arn"]));
        let mut nodes: Vec<String> =
            found.iter().filter_map(|id| self.nodes.get(id)).map(|n| self.pages.get(n).unwrap_or(n).clone()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.is_empty() {
            let (key, label) = (self.key(target), self.label(target));
            let clusters = plan.of(&["aws_eks_cluster"]);
            let cluster = clusters.first().filter(|_| clusters.len() == 1).map(|c| format!("{}:zone", self.key(*c)));
            let cluster = cluster.and_then(|key| self.draft.find(Kind::Zone, &key)).map(|z| z.name().to_owned());
            let node = self.draft.node(&key, &label).guess(
                "kind",
                "service",
                "a target group without targets in this plan: something registers itself there",
            );
            let name = match cluster {
                Some(zone) => node.guess("zone", zone, "the only cluster of this plan").name().to_owned(),
                None => node.set("zone", zone).name().to_owned(),
            };
            // By these keys manifests find what registers itself, and whether it is all that does.
            if self.draft.find(Kind::Node, &format!("{key}:seen")).is_none() {
                let nth = if self.draft.find(Kind::Node, "cloud-target:1").is_none() { 1 } else { 2 };
                for alias in [format!("{key}:seen"), format!("cloud-target:{nth}")] {
                    self.draft.alias(Kind::Node, &key, &alias);
                }
                let balancer = self.key(balancer);
                self.draft.alias(Kind::Node, &balancer, &format!("cloud-balancer:{nth}"));
            }
            nodes.push(name);
        }
        let protocol = plan.get(target).text(&["protocol"]).unwrap_or("HTTP");
        for to in nodes {
            self.sends(from, &to, "a balancer passes requests on");
            let flow = self.flow(from, &to);
            match protocol {
                "HTTPS" | "TLS" => _ = flow.guess_via("tls", "1.2", "the target group speaks HTTPS"),
                "HTTP" => _ = flow.via("tls", "none"),
                _ => _ = flow.comment("TCP is passed on as it comes: what speaks at its end decides about TLS"),
            }
        }
    }

    fn interfaces(&mut self) {
        let plan = self.plan;
        for id in plan.of(&["aws_api_gateway_rest_api"]) {
            let is_private = plan.get(id).texts(&["endpoint_configuration", "types"]).contains(&"PRIVATE");
            let mine = |kind: &str| plan.linking(id, &[kind], &["rest_api_id"]);
            let methods = mine("aws_api_gateway_method");
            let kinds: Vec<&str> = methods.iter().filter_map(|m| plan.get(*m).text(&["authorization"])).collect();
            let integrations = mine("aws_api_gateway_integration");
            self.interface(id, &kinds, &integrations, &["uri"], is_private);
        }
        for id in plan.of(&["aws_apigatewayv2_api"]) {
            let mine = |kind: &str| plan.linking(id, &[kind], &["api_id"]);
            let routes = mine("aws_apigatewayv2_route");
            let kinds: Vec<&str> =
                routes.iter().map(|r| plan.get(*r).text(&["authorization_type"]).unwrap_or("NONE")).collect();
            let mut integrations = mine("aws_apigatewayv2_integration");
            integrations.push(id);
            self.interface(id, &kinds, &integrations, &["integration_uri"], false);
        }
        for plans in plan.of(&["aws_api_gateway_usage_plan"]) {
            if plan.get(plans).blocks("throttle_settings").is_empty() {
                continue;
            }
            for api in plan.find(plans, &["api_stages", "api_id"], &["aws_api_gateway_rest_api"]) {
                if let Some(node) = self.nodes.get(&api).cloned().and_then(|n| self.draft.named(Kind::Node, &n)) {
                    node.add("guards", "rate");
                }
            }
        }
    }

    fn interface(&mut self, id: usize, kinds: &[&str], integrations: &[usize], path: &[&str], is_private: bool) {
        let plan = self.plan;
        let (key, label, zone) = (self.key(id), self.label(id), self.zone.clone());
        let name = self.draft.node(&key, &label).set("kind", "service").set("zone", zone).name().to_owned();
        self.nodes.insert(id, name.clone());
        let is_open = kinds.contains(&"NONE");
        let auth = kinds.iter().find(|k| **k != "NONE").map(|k| match *k {
            "AWS_IAM" => "iam",
            "JWT" | "COGNITO_USER_POOLS" => "jwt",
            _ => "token",
        });
        if is_private {
            self.draft.node(&key, &label).comment("only through an endpoint of the network");
        } else {
            let (users, requests) = (self.users(), self.requests());
            let flow = self.flow(&users, &name).add("carries", requests).guess_via(
                "tls",
                "1.2",
                "API Gateway takes HTTPS only",
            );
            if let Some(auth) = auth.filter(|_| !is_open) {
                flow.via("auth", auth);
            }
            let node = self.draft.node(&key, &label);
            match (is_open, auth) {
                (false, Some(auth)) => _ = node.set("auth", auth),
                (true, Some(_)) => _ = node.comment("some of its methods ask nobody who they are"),
                _ => {}
            }
        }
        for integration in integrations {
            for target in
                plan.find(*integration, path, &["aws_lambda_function", "aws_lb", "aws_alb", "aws_lb_listener"])
            {
                let Some(to) = self.nodes.get(&target).cloned() else { continue };
                self.sends(&name, &to, "it passes requests on");
                self.flow(&name, &to).guess_via("tls", "1.2", "inside of AWS").guess_via(
                    "auth",
                    "iam",
                    "by the permission of the function",
                );
            }
        }
    }

    fn distributions(&mut self) {
        let plan = self.plan;
        for id in plan.of(&["aws_cloudfront_distribution"]) {
            let of = plan.get(id);
            let (key, label, zone) = (self.key(id), self.label(id), self.zone.clone());
            let (users, requests) = (self.users(), self.requests());
            let node = self.draft.node(&key, &label).set("kind", "service").set("zone", zone);
            if !of.blocks("logging_config").is_empty() {
                node.set("logs", true);
            }
            if of.text(&["web_acl_id"]).is_some_and(|w| !w.is_empty())
                || of.text(&["web_acl_id"]).is_none() && of.is_configured("web_acl_id")
            {
                node.add("guards", "waf");
            }
            let name = node.name().to_owned();
            self.nodes.insert(id, name.clone());
            let mut policies = of.texts(&["default_cache_behavior", "viewer_protocol_policy"]);
            policies.extend(of.texts(&["ordered_cache_behavior", "viewer_protocol_policy"]));
            let is_default = of.flag(&["viewer_certificate", "cloudfront_default_certificate"]) == Some(true);
            let minimum = of.text(&["viewer_certificate", "minimum_protocol_version"]).filter(|_| !is_default);
            let flow = self.flow(&users, &name).add("carries", requests);
            if policies.contains(&"allow-all") {
                flow.via("tls", "none");
            } else {
                match minimum {
                    Some(m) if m.starts_with("TLSv1.3") => _ = flow.via("tls", "1.3"),
                    Some(m) if m.starts_with("TLSv1.2") => _ = flow.via("tls", "1.2"),
                    Some(m) if m.starts_with("TLSv1.1") => _ = flow.via("tls", "1.1"),
                    Some(_) => _ = flow.via("tls", "1.0"),
                    None => _ = flow.guess_via("tls", "1.0", "the default certificate takes TLS 1.0, as documented; a certificate of one's own does not need to"),
                }
            }
            let origins = [
                "aws_s3_bucket",
                "aws_lb",
                "aws_alb",
                "aws_api_gateway_rest_api",
                "aws_apigatewayv2_api",
                "aws_lambda_function_url",
            ];
            let mut targets = plan.find(id, &["origin", "domain_name"], &origins);
            targets.extend(plan.refers(id, &["origin"]).into_iter().filter(|o| plan.get(*o).is(&origins)));
            targets.sort_unstable();
            targets.dedup();
            let is_plain = of
                .texts(&["origin", "custom_origin_config", "origin_protocol_policy"])
                .iter()
                .any(|p| *p == "http-only" || *p == "match-viewer");
            for target in targets {
                let Some(to) = self.nodes.get(&target).cloned() else { continue };
                if let Some(place) = self.stores.iter().position(|s| s.id == target) {
                    self.stores_flow(&name, place, true, false, false, "it is what the distribution shows");
                    continue;
                }
                self.sends(&name, &to, "it passes requests on");
                let flow = self.flow(&name, &to);
                match is_plain {
                    true => _ = flow.via("tls", "none"),
                    false => _ = flow.guess_via("tls", "1.2", "it asks the origin over HTTPS"),
                }
            }
        }
    }

    /// Web application firewalls, before whatever they are attached to.
    fn walls(&mut self) {
        let plan = self.plan;
        let before = ["aws_lb", "aws_alb", "aws_api_gateway_rest_api", "aws_api_gateway_stage", "aws_apigatewayv2_api"];
        for id in plan.of(&["aws_wafv2_web_acl_association", "aws_wafregional_web_acl_association"]) {
            for target in plan.find(id, &["resource_arn"], &before) {
                let mut targets = vec![target];
                if plan.get(target).kind == "aws_api_gateway_stage" {
                    targets = plan.find(target, &["rest_api_id"], &["aws_api_gateway_rest_api"]);
                }
                for target in targets {
                    if let Some(node) = self.nodes.get(&target).cloned().and_then(|n| self.draft.named(Kind::Node, &n))
                    {
                        node.add("guards", "waf");
                    }
                }
            }
        }
    }
}

/// A listener of a balancer.
struct Listener {
    port: u16,
    /// The least version it takes, and why where that is guessed; none where it is plain.
    tls: Option<(&'static str, Option<&'static str>)>,
    targets: Vec<usize>,
    /// Whether it only sends on to HTTPS.
    redirects: bool,
}

/// The least version of TLS that a policy of a balancer takes (the documented table of security policies).
pub(super) fn version_of(policy: &str) -> &'static str {
    match policy {
        p if p.starts_with("ELBSecurityPolicy-TLS13-1-3") => "1.3",
        p if p.starts_with("ELBSecurityPolicy-TLS13-1-2") || p.contains("-1-2") => "1.2",
        p if p.starts_with("ELBSecurityPolicy-TLS13-1-1") || p.contains("-1-1") => "1.1",
        _ => "1.0",
    }
}
