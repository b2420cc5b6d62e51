//! After whatever changes, a session says what grading from scratch says.
use std::{sync::Arc, time::Duration};

use model::{
    AtRest, Audit, Auth, Class, Data, Flow, Listen, ListenTls, Mode, Model, Name, Node, NodeKind, Role, Run,
    SourceFile, TokenNeed, Trust, Waiver, load::text::Text,
};
use proptest::prelude::*;
use time::{Date, macros::date};

use super::Session;
use crate::{Delta, Finding, Input, Path, RULES, grade};

const TODAY: Date = date!(2026 - 11 - 22);

/// Zones in zones, tokens that are passed on, and a gateway.
const DEEP: &str = r#"
zones:
  internet: { trust: none }
  cloud: { trust: low }
  yard: { in: cloud, trust: low }
  house: { in: yard, trust: high }
  vault: { in: house, trust: high }
data:
  ask: { class: internal }
  answer: { class: confidential }
  bearer: { class: secret, opens: [api], ttl: 1h }
  key: { class: secret, opens: [api, store], ttl: 1h }
  image: { class: internal, of: image }
nodes:
  anybody: { kind: party, zone: internet }
  app: { kind: party, zone: internet, auth: token }
  staff: { kind: party, zone: yard, auth: mtls }
  gate: { kind: service, zone: yard, role: gateway, listen: [{ port: 443, tls: auto }] }
  front: { kind: service, zone: house, exposed_to: [internet, yard], guards: [oidc] }
  api: { kind: service, zone: house, auth: token, reads: [answer] }
  store: { kind: store, zone: vault, auth: none, holds: [answer, key], exposed_to: [house] }
  ops: { kind: service, zone: vault, privilege: admin, auth: token, exposed_to: [yard] }
flows:
  - { id: browse, from: anybody, to: front, carries: [ask] }
  - { id: call, from: app, to: front, carries: [ask, bearer], returns: [answer], via: { auth: jwt } }
  - { id: inner, from: staff, to: front, carries: [ask], returns: [answer] }
  - { id: on, from: front, to: api, carries: [ask, bearer], returns: [answer] }
  - { id: far, from: api, to: store, carries: [key], returns: [answer] }
  - { id: back, from: api, to: front, carries: [answer] }
  - { id: roll, from: ops, to: api, carries: [image], via: { mtls: true } }
"#;

/// Of most nothing.
const BARE: &str = "
zones: { internet: { trust: none }, inside: {} }
nodes:
  a: { kind: party, zone: internet }
  b: { kind: service, zone: inside }
";

/// A little of everything.
const SMALL: &str = r#"
zones: { internet: { trust: none }, edge: { region: eu }, inside: { in: edge, trust: high } }
data:
  order: { class: internal }
  card: { class: restricted, residency: [eu] }
  backup: { class: confidential, copy_of: card }
  profile: { class: confidential, about: child }
  key: { class: secret, opens: [orders-db], ttl: 1h }
  token: { class: secret, opens: [control] }
  image: { class: internal, of: image }
  lines: { class: internal, of: log }
  alert: { class: internal, of: alert }
nodes:
  stranger: { kind: party, zone: internet, hostile: true }
  customer: { kind: party, zone: internet, auth: password }
  site: { kind: service, zone: edge, exposed_to: [internet], reads: [order] }
  orders: { kind: service, zone: inside, holds: [key], logs: true }
  orders-db: { kind: store, zone: inside, auth: password, holds: [card, profile] }
  bucket: { kind: store, zone: inside, auth: none, holds: [backup] }
  control: { kind: service, zone: inside, privilege: admin, auth: token }
  watcher: { kind: service, zone: inside }
flows:
  - { id: shop, from: customer, to: site, carries: [order, card], returns: [order], via: { tls: "1.3" } }
  - { id: place, from: site, to: orders, carries: [order, card] }
  - { id: save, from: orders, to: orders-db, carries: [card, key], returns: [profile], via: { tls: none } }
  - { id: nightly, from: orders-db, to: bucket, carries: [backup], via: { tls: "1.3" } }
  - { id: tell, from: orders, to: watcher, carries: [lines] }
  - { id: warn, from: watcher, to: control, carries: [alert] }
  - { id: deploy, from: control, to: orders, carries: [image], via: { mtls: true } }
"#;

fn text(model: &str) -> Text {
    let text = if model.contains("\nward: 1") || model.starts_with("ward: 1") {
        model.to_owned()
    } else {
        format!("ward: 1\nmodel: example\n{}", model.trim_start())
    };
    Text::new(vec![SourceFile { name: "ward.yaml".to_owned(), text }])
}

fn model(text: &Text) -> Model {
    let loaded = model::load(text.files());
    loaded.model.unwrap_or_else(|| panic!("{}\n{:#?}", text.files()[0].text, loaded.diagnostics))
}

/// Models to begin with: all examples, and those of the rules.
fn models() -> Vec<Text> {
    let examples = [
        include_str!("../../../../examples/tasky/current/ward.yaml"),
        include_str!("../../../../examples/tasky/secure/ward.yaml"),
        include_str!("../../../../examples/shop/ward.yaml"),
        include_str!("../../../../examples/mtls-mesh/ward.yaml"),
        include_str!("../../../../examples/ai-spm/ward.yaml"),
        include_str!("../../../../examples/guardian/ward.yaml"),
    ];
    let small = std::iter::repeat_n([SMALL, DEEP, SMALL, BARE], 4).flatten();
    small.chain(examples).chain(RULES.iter().map(|r| r.example)).map(text).collect()
}

fn said(session: &Session) -> (Vec<Finding>, Vec<Path>) {
    (session.findings().cloned().collect(), session.paths().to_vec())
}

/// One change of a model, of which the numbers choose what and where.
type Change = (usize, usize, usize, usize);

const KINDS: usize = 48;

fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).unwrap()
}

fn pick<T: Clone>(all: impl IntoIterator<Item = T>, at: usize) -> Option<T> {
    let all: Vec<T> = all.into_iter().collect();
    (!all.is_empty()).then(|| all[at % all.len()].clone())
}

/// Takes it out where it is, puts it in where it is not.
fn turn(list: &mut Vec<Name>, name: &Name) {
    match list.iter().position(|n| n == name) {
        Some(at) => drop(list.remove(at)),
        None => list.push(name.clone()),
    }
}

fn change(model: &mut Model, first: &Model, (kind, a, b, c): Change) {
    at_the_end(model, first, (kind, a, b, c));
    let (Some(a_node), Some(b_node)) = (pick(model.nodes.keys().cloned(), a), pick(model.nodes.keys().cloned(), b))
    else {
        return;
    };
    let zone = pick(model.zones.keys().cloned(), b).unwrap();
    let datum = pick(model.data.keys().cloned(), b);
    let auths = [
        None,
        Some(Auth::None),
        Some(Auth::Password),
        Some(Auth::Key),
        Some(Auth::Token),
        Some(Auth::Mtls),
        Some(Auth::Iam),
    ];
    if let Some(node) = model.nodes.get_mut(&a_node) {
        match kind {
            0 => node.auth = auths[b % auths.len()],
            1 => node.at_rest = [None, Some(AtRest::None), Some(AtRest::Encoding), Some(AtRest::Kms)][b % 4],
            2 => node.logs = [None, Some(true), Some(false)][b % 3],
            3 => {
                node.guards = [vec![], vec!["waf"], vec!["mfa"], vec!["rate", "oidc"]][b % 4]
                    .iter()
                    .map(|g| (*g).to_owned())
                    .collect()
            }
            4 => turn(&mut node.exposed_to, &zone),
            5 => node.admin = !node.admin,
            6 => node.port = if node.port.is_some() { None } else { Some(22) },
            7 => node.hostile = !node.hostile,
            8 => {
                node.run = match node.run {
                    Some(_) => None,
                    None => Some(Run { command: vec!["./run".to_owned()], env: [].into(), user: None, replicas: 1 }),
                }
            }
            9 => datum.iter().for_each(|d| turn(&mut node.holds, d)),
            10 => datum.iter().for_each(|d| turn(&mut node.reads, d)),
            11 => node.kind = [NodeKind::Party, NodeKind::Service, NodeKind::Store][b % 3],
            12 => node.zone = zone.clone(),
            13 => node.rotates = [None, Some(true)][b % 2],
            14 => {
                let tls = if c % 2 == 0 { ListenTls::None } else { ListenTls::Auto };
                (node.role, node.listen) = match b % 2 {
                    0 => (None, Vec::new()),
                    _ => (Some(Role::Gateway), vec![Listen { port: 443, hosts: Vec::new(), tls }]),
                };
            }
            15 => node.stakeholder = [None, Some("media".to_owned())][b % 2].clone(),
            _ => {}
        }
    }
    if let Some(of) = pick(model.data.keys().cloned(), a).and_then(|n| model.data.get_mut(&n)) {
        match kind {
            16 => {
                of.class =
                    [Class::Public, Class::Internal, Class::Confidential, Class::Restricted, Class::Secret][b % 5]
            }
            17 => turn(&mut of.opens, &b_node),
            18 => of.ttl = [None, Some(Duration::from_secs(3_600)), Some(Duration::from_secs(400 * 86_400))][b % 3],
            19 => of.copy_of = datum.clone().filter(|_| c % 3 > 0),
            20 => of.about = [None, Some("child".to_owned())][b % 2].clone(),
            21 => {
                let kinds = ["image", "log", "alert", "policy", "private-key", "response"];
                of.of = Some(kinds[b % kinds.len()].to_owned()).filter(|_| c % 4 > 0);
            }
            22 => of.residency = [vec![], vec!["eu".to_owned()], vec!["us".to_owned()]][b % 3].clone(),
            23 => of.audit = [None, Some(Audit::High), Some(Audit::Strict)][b % 3],
            24 => of.encrypt_required = !of.encrypt_required,
            _ => {}
        }
    }
    let at = a % model.flows.len().max(1);
    if let Some(flow) = model.flows.get_mut(at) {
        match kind {
            25 => {
                let words = [
                    ("tls", "none"),
                    ("tls", "1.3"),
                    ("tls", "1.1"),
                    ("auth", "none"),
                    ("transform", "k5"),
                    ("auth", "jwt"),
                ];
                let (word, value) = words[b % words.len()];
                flow.via.words.insert(word.to_owned(), value.into());
            }
            26 => {
                let (word, value) = [("local", true), ("local", false), ("mtls", true), ("ssh", true)][b % 4];
                flow.via.words.insert(word.to_owned(), value.into());
            }
            27 => flow.via.words.clear(),
            28 => flow.standby = !flow.standby,
            29 => datum.iter().for_each(|d| turn(&mut flow.carries, d)),
            30 => datum.iter().for_each(|d| turn(&mut flow.returns, d)),
            31 => flow.via.audit = [None, Some(Audit::High), Some(Audit::Strict)][b % 3],
            32 => (flow.from, flow.to) = (flow.to.clone(), flow.from.clone()),
            _ => {}
        }
    }
    match kind {
        33 if c % 2 == 0 => drop((!model.flows.is_empty()).then(|| model.flows.remove(at))),
        33 => {
            let id = name(&format!("new-{a}-{b}"));
            if a_node != b_node && model.flows.iter().all(|f| f.id != id) {
                let data = || datum.clone().into_iter().collect::<Vec<_>>();
                let (carries, returns) = if c % 4 == 1 { (data(), Vec::new()) } else { (Vec::new(), data()) };
                let flow = Flow {
                    id,
                    from: a_node,
                    to: b_node,
                    carries,
                    returns,
                    schedule: None,
                    standby: false,
                    via: model::Via::default(),
                };
                model.flows.insert(c % (model.flows.len() + 1), flow);
            }
        }
        34 if c % 2 == 0 => remove_node(model, &a_node),
        34 => {
            let node = Node { hostile: false, ..model.nodes[&a_node].clone() };
            model.nodes.insert(name(&format!("{}{b}", ["a", "m", "z"][c % 3])), node);
        }
        35 if c % 2 == 0 => datum.iter().for_each(|d| remove_datum(model, d)),
        35 => {
            if let Some(like) = datum.and_then(|d| model.data.get(&d)).cloned() {
                model.data.insert(name(&format!("{}{a}", ["a", "m", "z"][c % 3])), Data { copy_of: None, ..like });
            }
        }
        36 if c % 2 == 0 => drop(model.waivers.pop()),
        36 => {
            let accepts = match c % 3 {
                0 => format!("*@{a_node}"),
                1 => format!("{}@*", RULES[b % RULES.len()].id),
                _ => format!("{}@{a_node}", RULES[b % RULES.len()].id),
            };
            let until = if a % 5 == 0 { date!(2026 - 01 - 01) } else { date!(2027 - 01 - 01) };
            let id = format!("W-{}", model.waivers.len());
            model.waivers.push(Waiver { id, accepts, why: "a test".to_owned(), owner: "team".to_owned(), until });
        }
        37 => match c % 4 {
            0 => model.mesh.mode = if a % 2 == 0 { Mode::DryRun } else { Mode::Enforce },
            1 => model.mesh.svid_ttl = Duration::from_secs(3_600 * if a % 2 == 0 { 24 } else { 100 }),
            2 => model.flows.rotate_left(at),
            _ => {
                if let Some(zone) = model.zones.get_mut(&zone) {
                    zone.trust = [Trust::None, Trust::Low, Trust::High][a % 3];
                }
            }
        },
        _ => {}
    }
}

/// Whether every name in it names something.
fn is_whole(model: &Model) -> bool {
    let (is_node, is_datum) = (|n: &Name| model.nodes.contains_key(n), |d: &Name| model.data.contains_key(d));
    model.nodes.values().all(|n| n.holds.iter().chain(&n.reads).all(is_datum))
        && model.data.values().all(|d| d.opens.iter().all(is_node) && d.copy_of.iter().all(is_datum))
        && model
            .flows
            .iter()
            .all(|f| [&f.from, &f.to].into_iter().all(is_node) && f.carries.iter().chain(&f.returns).all(is_datum))
}

/// What comes, goes and takes the place of another where numbers stay the same, and everything at once.
fn at_the_end(model: &mut Model, first: &Model, (kind, a, b, c): Change) {
    let (node, datum) = (model.nodes.keys().next_back().cloned(), model.data.keys().next_back().cloned());
    let other = (pick(first.nodes.values().cloned(), b), pick(first.data.values().cloned(), b));
    match (kind, c % 4) {
        (38, 0) => drop(model.flows.pop()),
        (38, 1) => node.iter().for_each(|n| remove_node(model, n)),
        (38, 2) => datum.iter().for_each(|d| remove_datum(model, d)),
        (38, _) => {
            model.flows.extend(pick(first.flows.iter().cloned(), a).filter(|f| is_possible(model, f)));
        }
        // One goes and another one comes, at the end or not: as many as before.
        (39, 0) => {
            pick(model.nodes.keys().cloned(), a).iter().for_each(|n| remove_node(model, n));
            let has_data = |of: &Node| of.holds.iter().chain(&of.reads).all(|d| model.data.contains_key(d));
            let other = other.0.filter(has_data);
            model.nodes.extend(other.map(|n| (name(&format!("zz{b}")), n)));
        }
        (39, 1) => {
            pick(model.data.keys().cloned(), a).iter().for_each(|d| remove_datum(model, d));
            let like = other.1.map(|d| Data { copy_of: None, opens: Vec::new(), ..d });
            model.data.extend(like.map(|d| (name(&format!("zz{b}")), d)));
        }
        (39, _) => {
            let at = if c % 4 == 2 { model.flows.len().saturating_sub(1) } else { a % model.flows.len().max(1) };
            let id = name(&format!("other-{b}"));
            if model.flows.iter().all(|f| f.id != id) {
                model.flows.get_mut(at).into_iter().for_each(|f| f.id = id.clone());
            }
        }
        (40, 0) => model.flows.clear(),
        (40, 1) => model.data.keys().cloned().collect::<Vec<_>>().iter().for_each(|d| remove_datum(model, d)),
        (40, 2) => {
            model.nodes.clear();
            model.flows.clear();
            model.data.values_mut().for_each(|d| d.opens.clear());
        }
        (40 | 41, _) => *model = first.clone(),
        (42, _) => {
            let at = a % model.flows.len().max(1);
            let to = pick(model.nodes.keys().cloned(), b);
            if let (Some(flow), Some(to)) = (model.flows.get_mut(at), to) {
                match c % 4 {
                    0 => flow.from = to,
                    1 => flow.to = to,
                    // A thing twice, as nobody would write it.
                    2 => flow.carries.extend(flow.carries.first().cloned()),
                    _ => flow.returns.extend(flow.carries.first().cloned()),
                }
            }
        }
        (43, _) => {
            let needs = [None, Some(TokenNeed::Asked { issuer: None, claims: Vec::new() }), Some(TokenNeed::None)];
            let at = a % model.flows.len().max(1);
            model.flows.get_mut(at).into_iter().for_each(|f| f.via.jwt = needs[c % 3].clone());
        }
        (44, _) => {
            let is = format!("{}{b}", ["a", "m", "z"][c % 3]);
            pick(model.nodes.keys().cloned(), a).iter().for_each(|was| rename_node(model, was, &is));
        }
        (45, _) => {
            let of = pick(first.nodes.iter().map(|(n, of)| (n.clone(), of.clone())), a);
            model
                .nodes
                .extend(of.filter(|(_, of)| of.holds.iter().chain(&of.reads).all(|d| model.data.contains_key(d))));
        }
        (46, _) => {
            let of = pick(first.data.iter().map(|(n, of)| (n.clone(), of.clone())), a);
            let is_possible = |of: &Data| {
                of.opens.iter().all(|n| model.nodes.contains_key(n))
                    && of.copy_of.iter().all(|d| model.data.contains_key(d))
            };
            model.data.extend(of.filter(|(_, of)| is_possible(of)));
        }
        // Several waivers at once.
        (47, 0) => model.waivers.clear(),
        (47, _) => {
            for (at, accepts) in ["*@f*", "plaintext-flow@*", "*", "stale-waiver@*", "un*@*"].into_iter().enumerate() {
                let id = format!("G-{at}-{}", model.waivers.len());
                let waiver = Waiver {
                    id,
                    accepts: accepts.to_owned(),
                    why: "a test".to_owned(),
                    owner: "team".to_owned(),
                    until: date!(2027 - 01 - 01),
                };
                if (a + at) % 3 == 0 {
                    model.waivers.push(waiver);
                }
            }
        }
        _ => {}
    }
}

fn is_possible(model: &Model, flow: &Flow) -> bool {
    model.flows.iter().all(|f| f.id != flow.id)
        && [&flow.from, &flow.to].into_iter().all(|n| model.nodes.contains_key(n))
        && flow.carries.iter().chain(&flow.returns).all(|d| model.data.contains_key(d))
}

/// What is called another name is still what it was to all others.
fn rename_node(model: &mut Model, was: &Name, is: &str) {
    let is = name(is);
    if model.nodes.contains_key(&is) {
        return;
    }
    let of = model.nodes.remove(was).unwrap();
    model.nodes.insert(is.clone(), of);
    let flows = model.flows.iter_mut().flat_map(|f| [&mut f.from, &mut f.to]);
    let all = flows.chain(model.data.values_mut().flat_map(|d| &mut d.opens));
    all.filter(|n| **n == *was).for_each(|n| *n = is.clone());
}

fn remove_node(model: &mut Model, node: &Name) {
    if model.nodes.len() < 2 {
        return;
    }
    model.nodes.remove(node);
    model.flows.retain(|f| f.from != *node && f.to != *node);
    model.data.values_mut().for_each(|d| d.opens.retain(|n| n != node));
}

fn remove_datum(model: &mut Model, datum: &Name) {
    model.data.remove(datum);
    for node in model.nodes.values_mut() {
        node.holds.retain(|d| d != datum);
        node.reads.retain(|d| d != datum);
    }
    for flow in &mut model.flows {
        flow.carries.retain(|d| d != datum);
        flow.returns.retain(|d| d != datum);
    }
    for other in model.data.values_mut() {
        other.copy_of = other.copy_of.take().filter(|d| d != datum);
    }
}

fn sorted(mut all: Vec<Finding>) -> Vec<Finding> {
    all.sort_by_key(|f| format!("{f:?}"));
    all
}

/// What was found, with what changed.
fn with(mut all: Vec<Finding>, delta: Delta) -> Vec<Finding> {
    let (changed, now): (Vec<Finding>, Vec<Finding>) = delta.changed.into_iter().unzip();
    for gone in delta.gone.iter().chain(&changed) {
        let at = all.iter().position(|f| f == gone).unwrap();
        all.remove(at);
    }
    all.extend(delta.new.into_iter().chain(now));
    sorted(all)
}

/// Two sites pass requests on and have nothing to break into. Filtered is the one by which strangers came first: no step is
/// another one, but what is behind falls to what comes in by the other now.
#[test]
fn where_requests_come_in_is_as_from_scratch() {
    let text = text(
        "
zones: { internet: { trust: none }, inside: {} }
data:
  query: { class: internal }
  record: { class: confidential }
nodes:
  stranger: { kind: party, zone: internet }
  first: { kind: service, zone: inside, logs: true }
  second: { kind: service, zone: inside, logs: true }
  api: { kind: service, zone: inside, logs: true, reads: [record] }
flows:
  - { id: ask-first, from: stranger, to: first, carries: [query], via: { tls: \"1.3\" } }
  - { id: ask-second, from: stranger, to: second, carries: [query], via: { tls: \"1.3\" } }
  - { id: on-first, from: first, to: api, carries: [query], via: { mtls: true } }
  - { id: on-second, from: second, to: api, carries: [query], via: { mtls: true } }
",
    );
    let first = Arc::new(model(&text));
    let mut session = Session::new(Arc::clone(&first), None, TODAY);
    let ways = |session: &Session| session.paths().iter().map(|p| p.way.clone()).collect::<Vec<_>>();
    assert_eq!(ways(&session), [["exploit first"]]);
    let mut next = (*first).clone();
    next.nodes.get_mut("first").unwrap().guards.push("waf".to_owned());
    session.next(Arc::new(next.clone()), None);
    assert_eq!(said(&session), said(&Session::new(Arc::new(next), None, TODAY)));
    assert_eq!(ways(&session), [["exploit second"]]);
    session.next(Arc::clone(&first), None);
    assert_eq!(said(&session), said(&Session::new(first, None, TODAY)));
}

/// Requests of strangers came in by one node alone and were passed on, twice: with that node they are gone from what is behind
/// the one behind it.
#[test]
fn where_nothing_comes_in_any_more_is_as_from_scratch() {
    let text = text(
        "
zones: { internet: { trust: none }, inside: {} }
data:
  query: { class: internal }
  record: { class: confidential }
nodes:
  stranger: { kind: party, zone: internet }
  front: { kind: service, zone: inside, logs: true }
  middle: { kind: service, zone: inside, logs: true }
  api: { kind: service, zone: inside, logs: true, reads: [record] }
flows:
  - { id: ask, from: stranger, to: front, carries: [query], via: { tls: \"1.3\" } }
  - { id: on, from: front, to: middle, carries: [query], via: { mtls: true } }
  - { id: further, from: middle, to: api, carries: [query], via: { mtls: true } }
",
    );
    let mut next = model(&text);
    let mut session = Session::new(Arc::new(next.clone()), None, TODAY);
    remove_node(&mut next, &name("front"));
    let next = Arc::new(next);
    session.next(Arc::clone(&next), None);
    let scratch = Session::new(next, None, TODAY);
    assert_eq!((said(&session), session.graded.drawn()), (said(&scratch), scratch.graded.drawn()));
}

/// Two findings of one flow have one id; they stand in the order in which they are found, whichever of them changed last.
#[test]
fn of_several_with_one_id_the_order_is_the_one_of_scratch() {
    let text = text(
        "
zones: { inside: {} }
data:
  asked: { class: secret, ttl: 1h, opens: [vault] }
  other: { class: secret, ttl: 1h, opens: [vault] }
  told: { class: secret, ttl: 1h, opens: [vault] }
nodes:
  web: { kind: service, zone: inside, logs: true }
  orders: { kind: service, zone: inside, logs: true }
  vault: { kind: store, zone: inside, auth: token, at_rest: kms, logs: true }
flows:
  - { id: place, from: web, to: orders, carries: [told], returns: [asked], via: { mtls: true } }
",
    );
    let mut session = Session::new(Arc::new(model(&text)), None, TODAY);
    let mut next = (**session.model()).clone();
    next.flows[0].returns.push(name("other"));
    session.next(Arc::new(next), None);
    let twins = session.findings().filter(|f| f.id == "secret-in-flow@place").count();
    assert_eq!((twins, said(&session)), (2, said(&Session::new(Arc::clone(session.model()), None, TODAY))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_changes_as_from_scratch(
        begin in 0..1_000usize,
        steps in prop::collection::vec(
            prop::collection::vec((0..KINDS, 0..64usize, 0..64usize, 0..12usize), 1..4), 1..8),
    ) {
        let first = model(&pick(models(), begin).unwrap());
        let mut now = first.clone();
        let mut session = Session::new(Arc::new(now.clone()), None, TODAY);
        for changes in steps {
            for one in &changes {
                change(&mut now, &first, *one);
            }
            prop_assert!(is_whole(&now), "the test made what no text says: {:?}", changes);
            let before = said(&session);
            let next = Arc::new(now.clone());
            let delta = session.next(Arc::clone(&next), None);
            let scratch = Session::new(Arc::clone(&next), None, TODAY);
            let found = said(&session);
            prop_assert_eq!(&found, &said(&scratch), "after {:?}", changes);
            prop_assert_eq!(with(before.0, delta), sorted(found.0), "after {:?}", changes);
            prop_assert_eq!(session.graded.drawn(), scratch.graded.drawn(), "after {:?}", changes);
        }
        prop_assert_eq!(said(&session).0, grade(Input { model: &now, text: None, today: TODAY }));
    }
}

/// Goes on to a model; then everything is as from scratch.
fn next_as_from_scratch(session: &mut Session, next: Model, what: &str) {
    let next = Arc::new(next);
    session.next(Arc::clone(&next), None);
    let scratch = Session::new(next, None, TODAY);
    assert_eq!(said(session), said(&scratch), "{what}");
    assert_eq!(session.graded.drawn(), scratch.graded.drawn(), "{what}");
}

/// What chance seldom draws: each thing by itself goes, is called another name or leads elsewhere, and comes back.
#[test]
fn each_thing_gone_elsewhere_and_back_as_from_scratch() {
    let models: Vec<Text> = [SMALL, DEEP].into_iter().chain(RULES.iter().map(|r| r.example)).map(text).collect();
    for first in models.iter().map(model) {
        let mut session = Session::new(Arc::new(first.clone()), None, TODAY);
        let mut without = |what: &str, take: &dyn Fn(&mut Model)| {
            let mut less = first.clone();
            take(&mut less);
            next_as_from_scratch(&mut session, less, what);
            next_as_from_scratch(&mut session, first.clone(), &format!("{what} and back"));
        };
        for (at, flow) in first.flows.iter().enumerate() {
            without(flow.id.as_str(), &|m| drop(m.flows.remove(at)));
            for node in first.nodes.keys().skip(at % 3).step_by(3) {
                without(&format!("{} to {node}", flow.id), &|m| m.flows[at].to = node.clone());
                without(&format!("{} from {node}", flow.id), &|m| m.flows[at].from = node.clone());
            }
        }
        for node in first.nodes.keys() {
            without(node.as_str(), &|m| remove_node(m, node));
            for is in ["a0", "m0", "zz0"] {
                without(&format!("{node} is {is}"), &|m| rename_node(m, node, is));
            }
        }
        for datum in first.data.keys() {
            without(datum.as_str(), &|m| remove_datum(m, datum));
        }
    }
}

#[test]
fn every_mend_of_every_example_as_from_scratch() {
    for text in models() {
        let first = Arc::new(model(&text));
        let mut session = Session::new(Arc::clone(&first), Some(&text), TODAY);
        let before = said(&session);
        for finding in &before.0 {
            let Ok(after) = text.changed(&finding.fix.changes) else { continue };
            let Some(next) = model::load(after.files()).model.map(Arc::new) else { continue };
            session.next(Arc::clone(&next), Some(&after));
            assert_eq!(said(&session), said(&Session::new(next, Some(&after), TODAY)), "{}", finding.id);
            session.next(Arc::clone(&first), Some(&text));
            assert_eq!(said(&session), before, "{} and back", finding.id);
        }
    }
}
