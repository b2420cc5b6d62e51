//! The change to the diagram that would allow a request, in the model's own words: proposed, tried on the model, and left
//! for people to judge. Nothing is written anywhere.
use model::{Flow, Model, Protocol, Role, Severity, SourceFile, allow::AllowEntry, istio::Action};
use policy::{RuleReport, WhyNot, gate::Verdict};
use serde::Serialize;
use serde_json::{Value, json};

use super::facts::Asked;

/// What is proposed, and what came of trying it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Proposal {
    /// All of them together.
    pub(super) changes: Vec<Change>,
    /// What no change of the diagram does.
    pub(super) notes: Vec<String>,
    /// What the model with the changes answers; absent when there is none to try.
    pub(super) tried: Option<Tried>,
}

/// A change to one document.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    /// Which file.
    pub(super) file: String,
    /// What it does, in one line.
    pub(super) what: String,
    /// The changed part of the document, with what leads to it.
    pub(super) yaml: String,
}

/// The answer of the changed model.
#[derive(Debug, Serialize)]
pub(super) struct Tried {
    /// Whether Ward takes the changed model.
    pub(super) accepted: bool,
    /// Whether the request passes then.
    pub(super) allowed: bool,
    /// Reason code of that answer; why the model is refused, when it is.
    pub(super) reason: String,
}

/// The model's documents as data, with the changes made so far.
struct Draft<'a> {
    files: &'a [SourceFile],
    model: &'a Model,
    asked: &'a Asked,
    documents: Vec<(String, Vec<Value>)>,
    proposal: Proposal,
}

/// What would allow the request.
pub(super) fn propose(
    files: &[SourceFile],
    model: &Model,
    asked: &Asked,
    answer: &Result<WhyNot, Verdict>,
) -> Proposal {
    let documents = files
        .iter()
        .map(|file| (file.name.clone(), serde_saphyr::from_multiple::<Value>(&file.text).unwrap_or_default()))
        .collect();
    let mut draft = Draft { files, model, asked, documents, proposal: Proposal::default() };
    match answer {
        Err(verdict) => draft.before_policies(verdict),
        Ok(why) if why.allowed => {}
        Ok(why) => {
            for rule in &why.refusing {
                draft.except(rule);
            }
            if why.refusing_rules > why.refusing.len() {
                let more = why.refusing_rules - why.refusing.len();
                draft.note(format!("{more} further rules refuse it."));
            }
            if why.lacks_allow() {
                draft.allow(why);
            }
        }
    }
    if !draft.proposal.changes.is_empty() {
        draft.proposal.tried = Some(draft.tried());
    }
    draft.proposal
}

impl Draft<'_> {
    fn note(&mut self, text: String) {
        self.proposal.notes.push(text);
    }

    /// Nothing that flows say helps a request that is refused before they are asked.
    fn before_policies(&mut self, verdict: &Verdict) {
        let node = &self.asked.node;
        match (verdict.reason, &self.asked.from) {
            ("mtls-required", Some(from)) => self.note(format!(
                "`{from}` proves no identity, and `{node}` takes only peers that do: lead it through a gateway, or give \
                 the party `auth: mtls` and a certificate of this mesh."
            )),
            ("mtls-required", None) => self.note(format!("`{node}` takes only peers that prove an identity.")),
            (code, _) if code.starts_with("jwt-") => self.note(
                "No change of the diagram allows it: the caller must send a token that passes, or none.".to_owned(),
            ),
            _ => self.note("No change of the diagram allows it: the request itself is refused.".to_owned()),
        }
    }

    /// Leaves the caller out of a rule that refuses.
    fn except(&mut self, rule: &RuleReport) {
        let name = rule.name();
        let Some(peer) = self.asked.arrival.peer.as_deref().and_then(|peer| peer.strip_prefix("spiffe://")) else {
            self.note(format!(
                "The caller has no identity by which {name} could leave it out: narrow that rule, if it goes too far."
            ));
            return;
        };
        if rule.action == Action::Custom {
            self.note(format!("Of {name} the provider cannot be asked yet: narrow the rule, or take it out."));
            return;
        }
        let at = usize::try_from(rule.rule).unwrap_or(usize::MAX);
        let found = self.documents.iter_mut().find_map(|(file, documents)| {
            let document = documents.iter_mut().find(|document| is_policy(document, &rule.policy))?;
            let rule = document.get_mut("spec")?.get_mut("rules")?.get_mut(at)?;
            except(rule, peer).then(|| (file.clone(), rule.clone()))
        });
        let Some((file, changed)) = found else {
            self.note(format!("Narrow {name}, if it goes too far."));
            return;
        };
        self.proposal.changes.push(Change {
            file,
            what: format!("policy {}, rule {at}: leave the caller out of what it denies", rule.policy),
            yaml: serde_saphyr::to_string(&json!({ "rules": [changed] })).unwrap_or_default(),
        });
    }

    /// Lets the caller send this request to the node.
    fn allow(&mut self, why: &WhyNot) {
        let (model, asked) = (self.model, self.asked);
        let nearest_flow = |rule: &RuleReport| {
            let id = rule.flow.as_deref()?;
            model.flows.iter().find(|flow| flow.id.as_str() == id && flow.to.as_str() == asked.node)
        };
        // A caller without identity is whoever the nearest flow is for: the parties of a gateway.
        let from = asked.from.clone().or_else(|| match asked.arrival.peer {
            None => why.nearest.iter().find_map(nearest_flow).map(|flow| flow.from.to_string()),
            Some(_) => None,
        });
        let Some(from) = from else {
            let who = asked.arrival.peer.as_deref().unwrap_or("the caller");
            self.note(format!("No node of the model has the identity {who}, so that no flow can begin there."));
            return;
        };
        let entry = match self.entry(&from) {
            Ok(entry) => entry,
            Err(why) => return self.note(why),
        };
        let mine = |flow: &&Flow| flow.from.as_str() == from;
        let near = why.nearest.iter().find_map(|rule| nearest_flow(rule).filter(mine).map(|flow| (flow, Some(rule))));
        let any = || model.flows_to(&asked.node).filter(mine).find(|flow| !flow.standby).map(|flow| (flow, None));
        let (flow, rule) = match near.or_else(any) {
            Some(found) => found,
            None => return self.new_flow(&from, entry.as_deref()),
        };
        let misses: Vec<&str> =
            rule.map(|rule| rule.misses().map(|miss| miss.word()).collect()).unwrap_or_else(|| vec!["path"]);
        if misses.contains(&"port") {
            return self.new_flow(&from, entry.as_deref());
        }
        let token_misses = || rule.into_iter().flat_map(RuleReport::misses).filter(|miss| is_about_token(miss.word()));
        let mut wanted = Vec::new();
        for miss in token_misses() {
            match (miss.word(), &miss.got) {
                // Whoever has a token with another value of a claim is let in by naming that value too.
                (word, Some(got)) if word != "token" && !miss.negated && self.widen(flow, word, got) => {}
                ("token", _) => wanted.push(format!("of {}", miss.wanted_words())),
                (claim, _) => wanted.push(format!("with {claim} {}", miss.wanted_words())),
            }
        }
        if !wanted.is_empty() {
            self.note(format!(
                "Flow `{}` asks for a token {}: the caller must send one. What is asked for stands in the flow's `via.jwt`.",
                flow.id,
                wanted.join(" and ")
            ));
        }
        if misses.iter().any(|word| matches!(*word, "method" | "path"))
            && let Some(entry) = entry
        {
            self.extend(flow, &entry, "let it make this request too");
            self.onward(&entry);
        }
    }

    /// The `allow` entry for this request; `None` on TCP, where there is none.
    fn entry(&self, from: &str) -> Result<Option<String>, String> {
        let arrival = &self.asked.arrival;
        if arrival.protocol == policy::Protocol::Tcp {
            return Ok(None);
        }
        let path = policy::normalize_path(&arrival.target).map_err(|fault| fault.to_string())?;
        // Whoever wrote `/orders/{*}` for GET means the same things by it for DELETE.
        let flows = self.model.flows_to(&self.asked.node);
        let mut flows: Vec<&Flow> = flows.filter(|flow| flow.via.rewrite.is_none()).collect();
        flows.sort_by_key(|flow| flow.from.as_str() != from);
        let entries = flows.iter().flat_map(|flow| flow.via.allow.iter().flatten());
        let written = entries.map(|entry| &entry.path).find(|pattern| pattern.matches(&path)).map(ToString::to_string);
        let entry = format!("{} {}", arrival.method, written.unwrap_or_else(|| path.into_owned()));
        match AllowEntry::parse(&entry) {
            Ok(_) => Ok(Some(entry)),
            Err(error) => Err(format!("`{entry}` cannot stand in `allow`: {error}.")),
        }
    }

    fn new_flow(&mut self, from: &str, entry: Option<&str>) {
        let (model, to) = (self.model, self.asked.node.as_str());
        let standby = model.flows_to(to).find(|flow| flow.standby && flow.from.as_str() == from);
        if let Some(flow) = standby {
            self.note(format!(
                "Flow `{}` is on standby: an open emergency that lists it would allow what it says.",
                flow.id
            ));
        }
        let taken = |id: &str| model.flows.iter().any(|flow| flow.id.as_str() == id);
        let base = format!("{from}-to-{to}");
        let id = (1..).map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") }).find(|id| !taken(id));
        let id = id.unwrap_or(base);
        let target = model.nodes.get(to);
        let ports = target.map_or(0, |node| node.serves.len() + node.listen.len());
        let port = self.asked.arrival.port.filter(|_| ports > 1);
        let is_http = |protocol: Protocol| protocol.is_http();
        let blind =
            target.is_some_and(|node| node.listen.is_empty() && !node.serves.iter().any(|s| is_http(s.protocol)));
        let entry = entry.filter(|_| !blind);
        let mut via = serde_json::Map::new();
        let mut words = Vec::new();
        if let Some(port) = port {
            via.insert("port".to_owned(), json!(port));
            words.push(format!("port: {port}"));
        }
        if let Some(entry) = entry {
            via.insert("allow".to_owned(), json!([entry]));
            words.push(format!("allow: [{}]", quoted(entry)));
        }
        let mut flow = json!({ "id": id, "from": from, "to": to });
        let mut yaml = format!(
            "flows:\n  - id: {id}  # name it after what it is for\n    from: {from}\n    to: {to}\n    carries: []  # and say what data it carries\n"
        );
        if !words.is_empty() {
            yaml += &format!("    via: {{ {} }}\n", words.join(", "));
            set(&mut flow, "via", Value::Object(via));
        }
        set(&mut flow, "carries", json!([]));
        let Some(flows) = self.flows() else { return };
        flows.push(flow);
        let what = format!("a new flow, from `{from}` to `{to}`");
        self.proposal.changes.push(Change { file: "ward.yaml".to_owned(), what, yaml });
        if let Some(entry) = entry {
            self.onward(entry);
        }
    }

    /// Adds an entry to a flow's `allow`.
    fn extend(&mut self, flow: &Flow, entry: &str, what: &str) {
        let id = flow.id.as_str();
        let Some(flows) = self.flows() else { return };
        let Some(found) = flows.iter_mut().find(|found| found.get("id").and_then(Value::as_str) == Some(id)) else {
            return;
        };
        let Some(allow) = found.get_mut("via").and_then(|via| via.get_mut("allow")).and_then(Value::as_array_mut)
        else {
            return;
        };
        let mut yaml = format!("flows:\n  - id: {id}\n    via:\n      allow:\n");
        for written in allow.iter().filter_map(Value::as_str) {
            yaml += &format!("        - {}\n", quoted(written));
        }
        yaml += &format!("        - {}  # new\n", quoted(entry));
        allow.push(json!(entry));
        let change = Change { file: "ward.yaml".to_owned(), what: format!("flow `{id}`: {what}"), yaml };
        self.proposal.changes.push(change);
    }

    /// Adds a value to a claim of `via.jwt`; false where the claim does not stand there.
    fn widen(&mut self, flow: &Flow, word: &str, got: &str) -> bool {
        let id = flow.id.as_str();
        let names: Vec<&str> = word.split(['[', ']']).skip(1).filter(|name| !name.is_empty()).collect();
        let Some(flows) = self.flows() else { return false };
        let Some(found) = flows.iter_mut().find(|found| found.get("id").and_then(Value::as_str) == Some(id)) else {
            return false;
        };
        let Some(jwt) = found.get_mut("via").and_then(|via| via.get_mut("jwt")) else { return false };
        let claims = jwt.get_mut("claims");
        let Some(values) = names.iter().try_fold(claims, |at, name| at.map(|at| at.get_mut(*name))).flatten() else {
            return false;
        };
        let mut all = match values.take() {
            Value::Array(all) => all,
            one => vec![one],
        };
        all.push(json!(got));
        *values = Value::Array(all);
        let yaml = format!("flows:\n  - id: {id}\n    via:\n      jwt: {jwt}\n");
        let what = format!("flow `{id}`: let tokens with {word} {got} in too");
        self.proposal.changes.push(Change { file: "ward.yaml".to_owned(), what, yaml });
        true
    }

    /// A gateway that may be asked must also know where to send the request.
    fn onward(&mut self, entry: &str) {
        let (model, node) = (self.model, self.asked.node.as_str());
        let Some(gateway) = model.nodes.get(node).filter(|found| found.role == Some(Role::Gateway)) else { return };
        let at_listener = |port| gateway.listen.iter().any(|listen| listen.port == port);
        let Ok(wanted) = AllowEntry::parse(entry) else { return };
        if !self.asked.arrival.port.is_none_or(at_listener) {
            return;
        }
        let mut outbound = model.flows.iter().filter(|flow| flow.from.as_str() == node && !flow.standby);
        let leads = |flow: &Flow| match &flow.via.allow {
            None => true,
            Some(entries) => entries.iter().any(|entry| entry.overlap(&wanted).is_some()),
        };
        if outbound.clone().any(leads) {
            return;
        }
        let near = outbound.find(|flow| flow.via.allow.iter().flatten().any(|one| one.path == wanted.path));
        match near {
            Some(flow) => self.extend(flow, entry, "so that the gateway knows where to send it"),
            None => self.note(format!(
                "`{node}` must also know where to send it: add {} to the flow that leads from there to the right service.",
                quoted(entry)
            )),
        }
    }

    /// The flows of the model's document.
    fn flows(&mut self) -> Option<&mut Vec<Value>> {
        let (_, documents) = self.documents.iter_mut().find(|(file, _)| file == "ward.yaml")?;
        let root = documents.iter_mut().find(|document| is_model(document))?.as_object_mut()?;
        let flows = root.entry("flows").or_insert_with(|| json!([]));
        if flows.is_null() {
            *flows = json!([]);
        }
        flows.as_array_mut()
    }

    /// Loads the changed documents, and asks again.
    fn tried(&self) -> Tried {
        let refused = |reason: String| Tried { accepted: false, allowed: false, reason };
        // JSON is YAML; several documents of one file become files of their own.
        let mut files = Vec::with_capacity(self.files.len());
        for (name, documents) in &self.documents {
            for (n, document) in documents.iter().enumerate() {
                let name = if is_model(document) { name.clone() } else { format!("{name}-{n}.yaml") };
                files.push(SourceFile { name, text: document.to_string() });
            }
        }
        let loaded = model::load(&files);
        let Some(model) = loaded.model else {
            let error = loaded.diagnostics.iter().find(|found| found.severity == Severity::Error);
            return refused(error.map(|error| error.message.clone()).unwrap_or_default());
        };
        match self.asked.answer(&model) {
            Ok(Ok(why)) => Tried { accepted: true, allowed: why.allowed, reason: why.reason.as_str().to_owned() },
            Ok(Err(verdict)) => Tried { accepted: true, allowed: false, reason: verdict.reason.to_owned() },
            Err(error) => refused(error.to_string()),
        }
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn is_about_token(word: &str) -> bool {
    word == "token" || word.starts_with("claims")
}

fn is_model(document: &Value) -> bool {
    document.is_object() && document.get("kind").is_none() && document.get("apiVersion").is_none()
}

fn is_policy(document: &Value, name: &str) -> bool {
    let text = |key: &str| document.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_str);
    let namespace = text("namespace").unwrap_or("default");
    document.get("kind").and_then(Value::as_str) == Some("AuthorizationPolicy")
        && text("name").is_some_and(|found| format!("{namespace}/{found}") == name)
}

/// Adds the principal to `notPrincipals` of every source of a rule; false when the rule is no such thing.
fn except(rule: &mut Value, principal: &str) -> bool {
    let Some(rule) = rule.as_object_mut() else { return false };
    let from = rule.entry("from").or_insert_with(|| json!([{ "source": {} }]));
    let Some(sources) = from.as_array_mut() else { return false };
    sources.iter_mut().all(|from| {
        let source = from.get_mut("source").and_then(Value::as_object_mut);
        let list = source.map(|source| source.entry("notPrincipals").or_insert_with(|| json!([])));
        match list.and_then(Value::as_array_mut) {
            Some(list) => {
                list.push(json!(principal));
                true
            }
            None => false,
        }
    })
}

/// A text as YAML and JSON both read it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
