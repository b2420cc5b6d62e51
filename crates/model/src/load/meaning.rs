//! What the whole model says (DESIGN §2, "Meaning"): checks over nouns that were read, each of which skips what an
//! earlier report already covers, so that one mistake stays one diagnostic.
use std::collections::{BTreeSet, HashMap};

use super::{
    nouns::warn_unless_enforced,
    problems::{At, Problems},
    read::Item,
    tokens,
};
use crate::{
    Auth, Class, Flow, ListenTls, Model, Name, Node, NodeKind, Protocol, Role, Token, TokenNeed,
    allow::{AllowEntry, PathPattern},
    words::Place,
};

/// Most routes of a gateway: the `allow` entries of its outbound flows.
pub const ROUTES_MAX: usize = 4_096;
/// Accounts of Ward itself: the control plane, and the identity that `ward verify` is refused with.
const RESERVED: [&str; 2] = ["ward-control", "ward-probe"];
/// Most overlaps reported for a gateway.
const OVERLAPS_MAX: usize = 50;

/// Everything the checks look at.
struct Facts<'m, 'y> {
    model: &'m Model,
    flows: &'m [Item<'y>],
    nodes: HashMap<&'y str, Item<'y>>,
    /// Nodes whose kind, role, coverage and ports were read without error.
    sound: BTreeSet<&'m str>,
}

/// A port a flow can reach.
#[derive(Clone, Copy)]
struct Port {
    port: u16,
    protocol: Protocol,
}

/// Runs every check. `flows` are the items of `model.flows`, in the same order.
pub(crate) fn check(p: &mut Problems<'_>, model: &Model, flows: &[Item<'_>], root: &Item<'_>) {
    let nodes: HashMap<&str, Item<'_>> =
        root.get("nodes").map(|i| i.entries().into_iter().collect()).unwrap_or_default();
    let decisive = ["kind", "zone", "role", "run", "attest", "serves", "listen", "auth"];
    let sound = model
        .nodes
        .keys()
        .map(Name::as_str)
        .filter(|n| nodes.get(n).is_some_and(|i| p.clean_fields(i, &decisive)))
        .collect();
    let facts = Facts { model, flows, nodes, sound };
    for (flow, item) in model.flows.iter().zip(flows) {
        facts.flow(p, flow, item);
    }
    facts.gateways(p);
    facts.emergencies(p, root);
    facts.tests(p, root);
    facts.server_names(p);
    facts.reserved(p);
    if let Some(item) = root.get("invariants").filter(|_| !model.invariants.is_empty()) {
        warn_unless_enforced(p, &item.at_key(), Place::Section, "invariants");
    }
}

/// The place of a field of a flow's `via`.
fn via_at(item: &Item<'_>, field: &str) -> Option<At> {
    Some(item.get("via")?.get(field)?.at())
}

/// The place of a field of a flow's `via`, its key.
fn via_key(item: &Item<'_>, field: &str) -> Option<At> {
    Some(item.get("via")?.get(field)?.at_key())
}

/// The place of a flow's own field, else of the flow.
fn field_at(item: &Item<'_>, field: &str) -> At {
    item.get(field).map_or_else(|| item.at(), |i| i.at())
}

/// The ports a node offers to flows: what it serves, or what it listens on. None when that is not known: a party, or a
/// node outside Ward that does not say.
fn offered(node: &Node, item: Option<&Item<'_>>) -> Option<Vec<Port>> {
    if node.role == Some(Role::Gateway) {
        return Some(node.listen.iter().map(|l| Port { port: l.port, protocol: Protocol::Http }).collect());
    }
    let said = item.is_some_and(|i| i.get("serves").is_some());
    if node.kind == NodeKind::Party || !said && !node.under_ward() {
        return None;
    }
    Some(node.serves.iter().map(|s| Port { port: s.port, protocol: s.protocol }).collect())
}

fn ports_text(ports: &[Port]) -> String {
    let all: Vec<String> = ports.iter().map(|p| format!("{} ({})", p.port, p.protocol.as_str())).collect();
    all.join(", ")
}

/// A flow, and where it is written.
type Written<'a, 'm, 'y> = (&'m Flow, &'a Item<'y>);

impl<'m, 'y> Facts<'m, 'y> {
    fn flow(&self, p: &mut Problems<'_>, flow: &Flow, item: &Item<'_>) {
        let (Some(from), Some(to)) = (self.model.nodes.get(&flow.from), self.model.nodes.get(&flow.to)) else { return };
        if !self.sound.contains(flow.from.as_str()) || !self.sound.contains(flow.to.as_str()) {
            return;
        }
        coverage(p, flow, item, from, to);
        let offered = offered(to, self.nodes.get(flow.to.as_str()));
        // With `via.port` unreadable every further word about ports would be a guess.
        let ports =
            offered.filter(|_| p.clean_fields(item, &["via.port"])).and_then(|o| selected(p, flow, item, to, &o));
        if let Some(ports) = &ports {
            protocols(p, flow, item, from, ports);
        }
        rewrite(p, flow, item, from);
        weaker(p, self.model, flow, item, from, to);
        tokens::flow(p, self.model, flow, item, from, to);
        self.sensitive(p, flow, item, (from, to), ports.as_deref().unwrap_or_default());
        if from.under_ward() || to.under_ward() {
            words(p, item);
        }
    }

    /// Sensitive data where any request passes, or without TLS.
    fn sensitive(
        &self,
        p: &mut Problems<'_>,
        flow: &Flow,
        item: &Item<'_>,
        (from, to): (&Node, &Node),
        ports: &[Port],
    ) {
        let data = flow.carries.iter().chain(&flow.returns);
        let worst = data.filter_map(|n| Some((n, self.model.data.get(n)?))).max_by_key(|(_, d)| d.class);
        let Some((name, datum)) = worst.filter(|(_, d)| d.class > Class::Internal) else { return };
        let class = match datum.class {
            Class::Secret => "secret",
            Class::Restricted => "restricted",
            _ => "confidential",
        };
        if to.role == Some(Role::Gateway) {
            // What passes a gateway is limited by its outbound flows.
            let open = to.listen.iter().find(|l| l.tls == ListenTls::None && ports.iter().any(|p| p.port == l.port));
            if let Some(listen) = open {
                let message = format!("`{name}` is {class} and port {} of `{}` has no TLS", listen.port, flow.to);
                p.warn(
                    "plaintext-data",
                    &field_at(item, "to"),
                    message,
                    "write `tls: auto` there, or pick a port with `via.port`".to_owned(),
                );
            }
            return;
        }
        if from.under_ward()
            && to.under_ward()
            && flow.via.allow.is_none()
            && ports.iter().any(|p| p.protocol.is_http())
            && p.clean_fields(item, &["via.allow"])
        {
            let message = format!("`{name}` is {class} and flow `{}` allows any request", flow.id);
            let help = "list what is needed, as in `via: { allow: [\"POST /charges\"] }`".to_owned();
            p.warn("any-request", &field_at(item, "id"), message, help);
        }
    }

    fn gateways(&self, p: &mut Problems<'_>) {
        // One look at the flows, and not one for each gateway.
        let is_gateway = |node: &Name| self.model.nodes.get(node).is_some_and(|n| n.role == Some(Role::Gateway));
        let mut ends: HashMap<&str, [Vec<Written<'_, 'm, 'y>>; 2]> = HashMap::new();
        for (flow, item) in self.model.flows.iter().zip(self.flows) {
            for (at, end) in [&flow.from, &flow.to].into_iter().enumerate().filter(|(_, end)| is_gateway(end)) {
                if let Some(flows) = ends.entry(end.as_str()).or_default().get_mut(at) {
                    flows.push((flow, item));
                }
            }
        }
        for (name, node) in &self.model.nodes {
            if node.role == Some(Role::Gateway) && self.sound.contains(name.as_str()) {
                let [outbound, inbound] = ends.remove(name.as_str()).unwrap_or_default();
                self.overlaps(p, name, &outbound);
                self.parties(p, name, node, &inbound);
            }
        }
    }

    /// Two routes of a gateway that one request would fit, to different targets.
    fn overlaps(&self, p: &mut Problems<'_>, gateway: &'m Name, outbound: &[Written<'_, 'm, 'y>]) {
        let any = AllowEntry { text: "* /{**}".to_owned(), methods: Vec::new(), path: PathPattern::any() };
        let mut routes: Vec<(&Flow, At, &AllowEntry)> = Vec::new();
        for (flow, item) in outbound.iter().copied() {
            if !p.clean_fields(item, &["via.allow", "via.port"]) {
                continue;
            }
            let Some(entries) = &flow.via.allow else {
                routes.push((flow, field_at(item, "id"), &any));
                continue;
            };
            let elements = item.get("via").and_then(|v| v.get("allow")).map(|a| a.elements()).unwrap_or_default();
            routes.extend(entries.iter().zip(elements).map(|(entry, element)| (flow, element.at(), entry)));
        }
        if routes.len() > ROUTES_MAX {
            if let Some(item) = self.nodes.get(gateway.as_str()) {
                let help = "use `{*}` and `{**}`, or a second gateway".to_owned();
                p.error("too-large", &item.at_key(), format!("more than {ROUTES_MAX} routes"), help);
            }
            return;
        }
        let mut reported = 0;
        for (i, (flow, at, entry)) in routes.iter().enumerate() {
            for (earlier, earlier_at, other) in routes.iter().take(i) {
                if earlier.to == flow.to && earlier.via.port == flow.via.port && earlier.via.rewrite == flow.via.rewrite
                {
                    continue;
                }
                let Some(witness) = entry.overlap(other) else { continue };
                let (line, _) = p.line_and_column(earlier_at.file, earlier_at.span.start);
                let message = format!(
                    "`{witness}` would go to `{}` by this route and to `{}` by `{other}` of flow `{}`, on line {line}",
                    flow.to, earlier.to, earlier.id
                );
                let help = match entry == &&any || other == &&any {
                    true => "a flow without `allow` takes every request: list its requests".to_owned(),
                    false => "make the paths or methods differ".to_owned(),
                };
                p.error("route-overlap", at, message, help);
                reported += 1;
                if reported == OVERLAPS_MAX {
                    return;
                }
                break;
            }
        }
    }

    /// Two parties that a gateway cannot tell apart: both come without a certificate, and with the same token or none.
    fn parties(&self, p: &mut Problems<'_>, gateway: &Name, node: &Node, inbound: &[Written<'_, 'm, 'y>]) {
        type Seen<'f> = (&'f Flow, BTreeSet<u16>, Option<Token<'f>>);
        let mut seen: Vec<Seen<'_>> = Vec::new();
        for (flow, item) in inbound.iter().copied() {
            let Some(from) = self.model.nodes.get(&flow.from) else { continue };
            let token = self.model.token_of(flow);
            // A flow whose token nobody can have lets nobody in.
            let closed = token.is_some_and(|token| token.issuer.is_none());
            let proves = from.auth == Some(Auth::Mtls) || closed;
            if from.kind != NodeKind::Party || proves || !self.sound.contains(flow.from.as_str()) {
                continue;
            }
            let ports: BTreeSet<u16> = match flow.via.port {
                Some(port) => [port].into(),
                None => node.listen.iter().map(|l| l.port).collect(),
            };
            let other = seen
                .iter()
                .find(|(f, open, theirs)| f.from != flow.from && !open.is_disjoint(&ports) && *theirs == token);
            if let Some((other, ..)) = other {
                let message = format!(
                    "`{gateway}` cannot tell `{}` from `{}`: what either may do, both may",
                    flow.from, other.from
                );
                let help = "give one of them `auth: jwt` or `mtls`, other claims in `via.jwt`, or a port of its own"
                    .to_owned();
                p.warn("parties-alike", &field_at(item, "from"), message, help);
            }
            seen.push((flow, ports, token));
        }
    }

    fn emergencies(&self, p: &mut Problems<'_>, root: &Item<'_>) {
        let section = root.get("emergencies");
        let mut listed: BTreeSet<&Name> = BTreeSet::new();
        for (name, emergency) in &self.model.emergencies {
            listed.extend(&emergency.flows);
            let Some(item) = section.as_ref().and_then(|s| s.get(name.as_str())) else { continue };
            warn_unless_enforced(p, &item.at_key(), Place::Section, "emergencies");
            for element in item.get("flows").map(|i| i.elements()).unwrap_or_default() {
                let flow =
                    self.model.flows.iter().zip(self.flows).find(|(f, _)| element.scalar() == Some(f.id.as_str()));
                if let Some((flow, flow_item)) = flow
                    && !flow.standby
                    && p.clean_fields(flow_item, &["standby"])
                {
                    let message = format!("flow `{}` is always open", flow.id);
                    p.error("not-standby", &element.at(), message, "write `standby: true` on the flow".to_owned());
                }
            }
            let approvers = item.get("approvers").and_then(|i| i.get("of")).map(|i| i.elements()).unwrap_or_default();
            for element in approvers {
                let Some(node) = element.scalar().and_then(|n| self.model.nodes.get(n)) else { continue };
                if node.kind != NodeKind::Party
                    && p.clean(&format!("nodes.{}.kind", element.scalar().unwrap_or_default()))
                {
                    let message = "only a party can approve".to_owned();
                    p.error("not-a-party", &element.at(), message, "name nodes of `kind: party`".to_owned());
                } else if node.keys.is_empty() && node.kind == NodeKind::Party {
                    let message = "this approver has no keys to sign with".to_owned();
                    p.warn("no-keys", &element.at(), message, "give the party `keys`".to_owned());
                }
            }
        }
        for (flow, item) in self.model.flows.iter().zip(self.flows) {
            if flow.standby && !listed.contains(&flow.id) && p.clean("emergencies") {
                let message = format!("no emergency opens standby flow `{}`, so it never passes", flow.id);
                let help = "list it under an emergency's `flows`, or leave `standby` out".to_owned();
                p.warn("idle-standby", &field_at(item, "standby"), message, help);
            }
        }
    }

    fn tests(&self, p: &mut Problems<'_>, root: &Item<'_>) {
        for item in root.get("tests").map(|i| i.elements()).unwrap_or_default() {
            let target = item.get("to").and_then(|i| i.scalar()).filter(|t| self.sound.contains(t));
            let Some((name, node)) = target.and_then(|t| self.model.nodes.get_key_value(t)) else { continue };
            let Some(offered) = offered(node, self.nodes.get(name.as_str())) else { continue };
            let port = item.get("port");
            let number = port.as_ref().and_then(|i| i.scalar()).and_then(|t| t.parse::<u16>().ok());
            let selected = match number {
                Some(number) => offered.iter().find(|o| o.port == number),
                None => offered.first(),
            };
            let Some(selected) = selected else {
                if let (Some(port), Some(number)) = (&port, number) {
                    let help = format!("it serves {}", ports_text(&offered));
                    p.error("port-not-served", &port.at(), format!("`{name}` does not serve port {number}"), help);
                }
                continue;
            };
            if let Some(jwt) = item.get("jwt").filter(|_| !selected.protocol.is_http()) {
                let word = selected.protocol.as_str();
                let message = format!("port {} is {word}: it has no tokens", selected.port);
                p.error("misplaced-word", &jwt.at_key(), message, "leave `jwt` out".to_owned());
            }
            match (selected.protocol.is_http(), item.get("request")) {
                (true, None) => {
                    let help = "write `request: \"POST /charges\"`".to_owned();
                    p.error(
                        "missing-field",
                        &item.at(),
                        format!("a test of HTTP port {} needs `request`", selected.port),
                        help,
                    );
                }
                (false, Some(request)) => {
                    let message =
                        format!("port {} is {}: it has no requests", selected.port, selected.protocol.as_str());
                    p.error("misplaced-word", &request.at_key(), message, "leave `request` out".to_owned());
                }
                _ => {}
            }
        }
    }

    /// `<port>.<node>.<namespace>.<trust domain>` is the server name of a mesh connection: at most 253 characters.
    /// A joiner takes whoever chains to the pinned root and is called `ward-control` for the control plane, in whatever
    /// namespace: an ordinary node of that name could pose as it. Policies of the root namespace hold for every
    /// workload, so no workload lives there either.
    fn reserved(&self, p: &mut Problems<'_>) {
        let root = &self.model.mesh.root_namespace;
        for (name, node) in &self.model.nodes {
            let Some(item) = self.nodes.get(name.as_str()) else { continue };
            if RESERVED.contains(&name.as_str()) {
                let message = format!("`{name}` is the name of one of Ward's own identities");
                p.error("reserved-name", &item.at_key(), message, "give the node another name".to_owned());
            }
            if node.namespace == *root {
                let at = ["namespace", "zone"].iter().find_map(|key| item.get(key));
                let message =
                    format!("namespace `{root}` is the mesh's root namespace, where only Ward's own identities are");
                let help =
                    "write another `namespace` for the node, or another `root_namespace` under `mesh`".to_owned();
                p.error("reserved-name", &at.map_or_else(|| item.at_key(), |i| i.at()), message, help);
            }
        }
    }

    fn server_names(&self, p: &mut Problems<'_>) {
        for (name, node) in self.model.nodes.iter().filter(|(_, n)| n.under_ward()) {
            let length = "65535.".len()
                + name.as_str().len()
                + node.namespace.as_str().len()
                + self.model.trust_domain.as_str().len()
                + 2;
            if length > 253
                && let Some(item) = self.nodes.get(name.as_str())
            {
                let message = format!(
                    "`{name}.{}.{}` is too long for a TLS server name",
                    node.namespace, self.model.trust_domain
                );
                p.error(
                    "name-too-long",
                    &item.at_key(),
                    message,
                    "shorten the node, its namespace or the trust domain".to_owned(),
                );
            }
        }
    }
}

/// What each end being under Ward, or not, means for the flow.
fn coverage(p: &mut Problems<'_>, flow: &Flow, item: &Item<'_>, from: &Node, to: &Node) {
    let to_gateway = to.role == Some(Role::Gateway);
    if from.kind == NodeKind::Party {
        if to.under_ward() && !to_gateway && from.auth != Some(Auth::Mtls) {
            let message = format!("party `{}` proves nothing and `{}` is no gateway", flow.from, flow.to);
            let help = "send it through a node with `role: gateway`, or give the party `auth: mtls`".to_owned();
            p.error("needs-gateway", &field_at(item, "to"), message, help);
        }
        return;
    }
    match (from.under_ward(), to.under_ward()) {
        (true, true) if to_gateway => {
            let message = format!("`{}` is under Ward, and gateways receive from outside only", flow.from);
            p.error("not-yet", &field_at(item, "to"), message, "send to the node behind the gateway".to_owned());
        }
        (false, true) => {
            let message =
                format!("`{}` is not under Ward, so it has no identity and `{}` refuses it", flow.from, flow.to);
            let help = match to_gateway {
                true => "give it `run` or `attest`, or make it a party".to_owned(),
                false => "give it `run` or `attest`, or make it a party behind a gateway".to_owned(),
            };
            p.warn("no-identity", &field_at(item, "from"), message, help);
        }
        (true, false) if to.kind != NodeKind::Party => {
            let message =
                format!("`{}` is not under Ward, so flow `{}` is described and not enforced", flow.to, flow.id);
            p.warn("not-enforced", &field_at(item, "to"), message, "give it `run` or `attest` if it can be".to_owned());
        }
        _ => {}
    }
}

/// The ports a flow may use; reports a port that the target does not offer.
fn selected(p: &mut Problems<'_>, flow: &Flow, item: &Item<'_>, to: &Node, offered: &[Port]) -> Option<Vec<Port>> {
    let verb = if to.role == Some(Role::Gateway) { "listen on" } else { "serve" };
    if offered.is_empty() {
        let message = format!("`{}` does not {verb} any port", flow.to);
        p.error("port-not-served", &field_at(item, "to"), message, "give it `serves: [{ port: 8080 }]`".to_owned());
        return None;
    }
    let Some(port) = flow.via.port else { return Some(offered.to_vec()) };
    let found: Vec<Port> = offered.iter().copied().filter(|o| o.port == port).collect();
    if found.is_empty() {
        let at = via_at(item, "port").unwrap_or_else(|| item.at());
        let message = format!("`{}` does not {verb} port {port}", flow.to);
        p.error("port-not-served", &at, message, format!("it has {}", ports_text(offered)));
        return None;
    }
    Some(found)
}

/// Words about requests on ports without requests, and what a gateway can route to.
fn protocols(p: &mut Problems<'_>, flow: &Flow, item: &Item<'_>, from: &Node, ports: &[Port]) {
    let opaque = ports.iter().find(|o| !o.protocol.is_http());
    let http: Vec<Port> = ports.iter().copied().filter(|o| o.protocol.is_http()).collect();
    if let Some(opaque) = opaque {
        let help = match http.first() {
            Some(port) => format!("pick the HTTP port with `via: {{ port: {} }}`", port.port),
            None => "leave it out: every connection of the flow is allowed".to_owned(),
        };
        let why = format!(
            "port {} of `{}` is {}: its requests cannot be seen",
            opaque.port,
            flow.to,
            opaque.protocol.as_str()
        );
        if let Some(at) = via_key(item, "allow") {
            p.error("allow-on-tcp", &at, why.clone(), help.clone());
        }
        for word in ["timeout", "cors", "jwt"] {
            // A token stands in a request: on a port without requests nobody could show one.
            if (http.is_empty() || word == "jwt" && !matches!(flow.via.jwt, None | Some(TokenNeed::None)))
                && let Some(at) = via_key(item, word)
            {
                let help = if http.is_empty() { format!("leave `{word}` out") } else { help.clone() };
                p.error("misplaced-word", &at, why.clone(), help);
            }
        }
    }
    if from.role == Some(Role::Gateway) {
        match http.as_slice() {
            [] => {
                let message = format!("a gateway routes HTTP, and `{}` serves {}", flow.to, ports_text(ports));
                p.error("gateway-tcp", &field_at(item, "to"), message, "put an HTTP service between".to_owned());
            }
            [_] => {}
            [first, ..] => {
                let message = format!("`{}` serves {}, and a gateway cannot choose", flow.to, ports_text(&http));
                let help = format!("pick one, as in `via: {{ port: {} }}`", first.port);
                p.error("ambiguous-port", &field_at(item, "to"), message, help);
            }
        }
    }
}

/// `via.rewrite`: only a gateway strips a prefix, and only one that its routes have.
fn rewrite(p: &mut Problems<'_>, flow: &Flow, item: &Item<'_>, from: &Node) {
    let Some(prefix) = &flow.via.rewrite else { return };
    let Some(at) = via_at(item, "rewrite") else { return };
    if from.role != Some(Role::Gateway) {
        let message = "only a gateway strips a prefix".to_owned();
        p.error("misplaced-word", &at, message, "leave `rewrite` out".to_owned());
        return;
    }
    let under = |entry: &&AllowEntry| {
        entry
            .path
            .literal_prefix()
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match &flow.via.allow {
        None => {
            let message = format!("a flow without `allow` also takes paths outside `{prefix}`");
            p.error("bad-value", &at, message, format!("write `allow: [\"* {prefix}/{{**}}\"]`"));
        }
        Some(entries) => {
            if let Some(entry) = entries.iter().find(|e| !under(e)) {
                let message = format!("`{entry}` does not begin with `{prefix}`");
                p.error("bad-value", &at, message, "every entry of `allow` is written with the prefix".to_owned());
            }
        }
    }
}

/// Between two nodes under Ward traffic is mutual TLS 1.3; a flow that says less is refused, or waived and still mutual.
fn weaker(p: &mut Problems<'_>, model: &Model, flow: &Flow, item: &Item<'_>, from: &Node, to: &Node) {
    if !from.under_ward() || !to.under_ward() {
        return;
    }
    let says = |word: &str, weak: &[&str]| {
        let value = flow.via.words.get(word)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // YAML reads 1.2 as a number, which prints as it was written.
        weak.contains(&text.as_str()).then(|| via_at(item, word)).flatten()
    };
    let weak = says("tls", &["none", "false", "1.0", "1.1", "1.2"]).or_else(|| says("mtls", &["false"]));
    let Some(at) = weak else { return };
    let subject = format!("weaker-flow@{}", flow.id);
    let waived = model.waivers.iter().any(|w| glob(&w.accepts, &subject));
    let message = format!("`{}` and `{}` are under Ward: their traffic is mutual TLS 1.3", flow.from, flow.to);
    if waived {
        p.warn("weaker-flow", &at, message, "the waiver changes nothing here: leave both out".to_owned());
    } else {
        p.error("weaker-flow", &at, message, "leave the word out".to_owned());
    }
}

/// Whether `pattern`, in which `*` is any run of characters, matches the whole text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = pattern.contains('*').then(|| pattern.rsplit('*').next()).flatten() else {
        return rest.is_empty();
    };
    let middle: Vec<&str> = parts.collect();
    for part in middle.iter().take(middle.len().saturating_sub(1)) {
        let Some(found) = rest.find(part) else { return false };
        rest = rest.get(found + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

/// Words of `via` that nothing enforces yet.
fn words(p: &mut Problems<'_>, item: &Item<'_>) {
    for (word, value) in item.get("via").map(|i| i.entries()).unwrap_or_default() {
        let off = value.scalar() == Some("false");
        match word {
            "audit" => warn_unless_enforced(p, &value.at(), Place::Audit, value.scalar().unwrap_or_default()),
            // `tls: "1.3"` and `mtls: true` are what happens; a weaker word has its own report.
            "tls" | "mtls" => {}
            _ if off => {}
            _ => warn_unless_enforced(p, &value.at_key(), Place::Via, word),
        }
    }
}
