//! Paths of the examples, the four rules by hand, and what must hold of every diagram.
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use model::{Model, SourceFile};
use proptest::prelude::*;

use super::{Attack, Path};
use crate::{Question, QuestionError, technique::TECHNIQUES};

const CURRENT: &str = include_str!("../../../../examples/tasky/current/ward.yaml");
const SECURE: &str = include_str!("../../../../examples/tasky/secure/ward.yaml");
const SHOP: &str = include_str!("../../../../examples/shop/ward.yaml");

fn model(text: &str) -> Model {
    let text = if text.contains("\nward: 1") { text.to_owned() } else { format!("ward: 1\nmodel: example\n{text}") };
    let loaded = model::load(&[SourceFile { name: "ward.yaml".to_owned(), text }]);
    loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

fn paths(text: &str, question: &Question) -> Vec<Path> {
    Attack::new(&model(text)).paths(question, None).unwrap()
}

fn words(paths: &[Path]) -> String {
    let mut out = String::new();
    for path in paths {
        let class = crate::view::class_word(path.class);
        writeln!(out, "{class} {} by {:?}, also {:?}", path.id, path.way, path.also).unwrap();
        for step in &path.steps {
            let assumed = if step.assumed { "assumed: " } else { "" };
            writeln!(out, "  {assumed}{} ({})", step.does, step.technique.map_or("-", |t| t.id)).unwrap();
        }
    }
    out
}

fn check(text: &str, question: &Question, expected: Expect) {
    expected.assert_eq(&words(&paths(text, question)));
}

fn from(name: &str) -> Question {
    Question { from: vec![name.to_owned()], ..Question::default() }
}

fn to(name: &str) -> Question {
    Question { to: vec![name.to_owned()], ..Question::default() }
}

/// The three attacks that the document of the exercise draws, each as one path.
#[test]
fn three_attacks_of_the_exercise() {
    let found = paths(CURRENT, &Question::default());
    let steps = |id: &str| {
        let path = found.iter().find(|p| p.id == id).unwrap_or_else(|| panic!("{id}\n{}", words(&found)));
        path.steps.iter().filter_map(|s| s.technique.map(|t| t.id)).collect::<Vec<_>>()
    };
    assert_eq!(steps("attacker>backups"), ["T1619", "T1530"], "S3 Exfiltration");
    assert_eq!(
        steps("attacker>todos"),
        ["T1595", "T1090.001", "T1190", "T1552.001", "T1133", "T1550.001", "T1552.007", "T1021", "T1078"],
        "Credential Theft via K8s"
    );
    assert_eq!(
        steps("attacker>aws-api"),
        ["T1133", "T1021.004", "T1021", "T1552.005", "T1133", "T1078.004"],
        "IMDS Exploitation"
    );
}

/// Beside each model stands which paths there are, and why each of them is one.
#[test]
fn paths_that_are_expected() {
    let expected = [
        (CURRENT, include_str!("../../../../examples/tasky/current/expected.json")),
        (SECURE, include_str!("../../../../examples/tasky/secure/expected.json")),
    ];
    for (text, expected) in expected {
        let document: serde_json::Value = serde_json::from_str(expected).unwrap();
        let of = |id: &str, way: serde_json::Value| format!("{id} {way}");
        let mut found: Vec<String> =
            paths(text, &Question::default()).iter().map(|p| of(&p.id, serde_json::json!(p.way))).collect();
        let mut wanted: Vec<String> = Vec::new();
        for path in document["paths"].as_array().unwrap() {
            assert!(path["because"].as_str().is_some_and(|b| !b.is_empty()));
            wanted.push(of(path["id"].as_str().unwrap(), path["way"].clone()));
        }
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
    }
}

#[test]
fn every_path_of_the_exercise() {
    check(
        CURRENT,
        &Question::default(),
        expect![[r#"
            secret attacker>mongo-creds by ["exploit alb"], also ["app-account", "client-details", "log-lines", "todos"]
              is somewhere in `internet` (-)
              sends requests to `alb`, as anybody there may by `create-todo` (T1595)
              has `alb` pass requests on to `app` by `forward` (T1090.001)
              assumed: breaks into `app`, whose requests nothing filters (T1190)
              gets `mongo-creds`, which moves on `insert` between `app` and `mongodb` (T1552)
            secret attacker>aws-api by ["login mongodb-vm", "open imds", "vm-role opens aws-api"], also ["mongo-creds", "ssh-key", "backups", "alerts", "client-details", "todos"]
              is somewhere in `internet` (-)
              connects to `mongodb-vm`, which is exposed to `internet` (T1133)
              assumed: logs in to `mongodb-vm` with a stolen key (T1021.004)
              goes on from `mongodb-vm` to `imds` by its flow `role-credentials` (T1021)
              gets `vm-role` from `imds`, which asks for no proof (T1552.005)
              connects to `aws-api`, which is exposed to `internet` (T1133)
              administers `aws-api` with `vm-role` (T1078.004)
            secret attacker>todos by ["app-account opens k8s-api", "exploit alb"], also []
              is somewhere in `internet` (-)
              sends requests to `alb`, as anybody there may by `create-todo` (T1595)
              has `alb` pass requests on to `app` by `forward` (T1090.001)
              assumed: breaks into `app`, whose requests nothing filters (T1190)
              finds `app-account` on `app` (T1552.001)
              connects to `k8s-api`, which is exposed to `internet` (T1133)
              administers `k8s-api` with `app-account` (T1550.001)
              gets `mongo-creds`, which moves on `keep-secret` between `k8s-api` and `k8s-secrets` (T1552.007)
              goes on from `app` to `mongodb` by its flow `insert` (T1021)
              opens `mongodb` with `mongo-creds` and reads `todos` (T1078)
            secret attacker>mongo-creds#2 by ["login mongodb-vm", "sniff insert"], also ["todos"]
              is somewhere in `internet` (-)
              connects to `mongodb-vm`, which is exposed to `internet` (T1133)
              assumed: logs in to `mongodb-vm` with a stolen key (T1021.004)
              looks around from there: `vpc` lies open to it (T1016)
              assumed: reads `mongo-creds` off the wire between `app` and `mongodb`: `insert` is not encrypted (T1040)
            confidential attacker>backups by ["open backup-bucket"], also []
              is somewhere in `internet` (-)
              connects to `backup-bucket`, which is exposed to `internet` (T1619)
              gets `backups` from `backup-bucket`, which asks for no proof (T1530)
            confidential attacker>backups#2 by ["login mongodb-vm", "open imds", "vm-role opens backup-bucket"], also []
              is somewhere in `internet` (-)
              connects to `mongodb-vm`, which is exposed to `internet` (T1133)
              assumed: logs in to `mongodb-vm` with a stolen key (T1021.004)
              goes on from `mongodb-vm` to `imds` by its flow `role-credentials` (T1021)
              gets `vm-role` from `imds`, which asks for no proof (T1552.005)
              connects to `backup-bucket`, which is exposed to `internet` (T1619)
              opens `backup-bucket` with `vm-role` and reads `backups` (T1078)
            internal attacker>commands by ["login mongodb-vm"], also ["log-lines"]
              is somewhere in `internet` (-)
              connects to `mongodb-vm`, which is exposed to `internet` (T1133)
              assumed: logs in to `mongodb-vm` with a stolen key (T1021.004)
              gets `commands`, which moves on `log-in` between `admin` and `mongodb-vm` (T1213)
            internal attacker>client-details by ["login mongodb-vm", "sniff forward"], also ["todos"]
              is somewhere in `internet` (-)
              connects to `mongodb-vm`, which is exposed to `internet` (T1133)
              assumed: logs in to `mongodb-vm` with a stolen key (T1021.004)
              looks around from there: `vpc` lies open to it (T1016)
              assumed: reads `client-details` off the wire between `alb` and `app`: `forward` is not encrypted (T1040)
        "#]],
    );
}

#[test]
fn mended_there_is_none() {
    assert_eq!(words(&paths(SECURE, &Question::default())), "");
}

/// Everything in the shop hangs on requests that nothing filters yet: one path.
#[test]
fn the_shop() {
    check(
        SHOP,
        &Question::default(),
        expect![[r#"
            secret internet>authentication-db-password by ["exploit gateway"], also ["inventory-db-password", "orders-db-password", "password", "payments-db-password", "session", "token-key", "card", "charge", "email", "order"]
              is somewhere in `internet` (-)
              sends requests to `gateway`, as anybody there may by `sign-in` (T1595)
              has `gateway` pass requests on to `authentication` by `accounts` (T1090.001)
              assumed: breaks into `authentication`, whose requests nothing filters (T1190)
              finds `authentication-db-password` on `authentication` (T1552.001)
        "#]],
    );
    check(
        SHOP,
        &to("card"),
        expect![[r#"
            restricted internet>card by ["exploit gateway"], also []
              is somewhere in `internet` (-)
              sends requests to `gateway`, as anybody there may by `sign-in` (T1595)
              has `gateway` pass requests on to `authentication` by `accounts` (T1090.001)
              assumed: breaks into `authentication`, whose requests nothing filters (T1190)
              gets `session`, which moves on `accounts` between `gateway` and `authentication` (T1552)
              has `gateway` pass requests on to `orders` by `place`, with `session` (T1090.001)
              assumed: breaks into `orders`, whose requests nothing filters (T1190)
              gets `card`, which moves on `pay` between `orders` and `payments` (T1213)
        "#]],
    );
}

#[test]
fn r1_what_is_exposed_and_what_flows_lead_to() {
    check(
        r#"
zones: { internet: { trust: none }, edge: {}, inside: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: edge }
  orders: { kind: service, zone: inside, auth: none }
flows:
  - { id: place, from: web, to: orders, carries: [order], returns: [order], via: { auth: none } }
"#,
        &from("web"),
        expect![[r#"
            internal web>order by ["open orders"], also []
              controls `web` (-)
              goes on from `web` to `orders` by its flow `place` (T1021)
              gets `order` from `orders`, which asks for no proof (T1213)
        "#]],
    );
}

#[test]
fn r2_who_asks_nobody() {
    let store = |auth: &str, exposed: &str| {
        format!(
            "zones: {{ internet: {{ trust: none }}, inside: {{}} }}\ndata: {{ order: {{ class: internal }} }}\nnodes:\n  \
             bucket: {{ kind: store, zone: inside, auth: {auth}, exposed_to: [{exposed}], holds: [order] }}\n"
        )
    };
    let found = paths(&store("none", "internet"), &Question::default());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id.as_str(), found[0].way.as_slice()), ("internet>order", &["open bucket".to_owned()][..]));
    assert_eq!(found[0].assumptions().count(), 0);
    assert!(paths(&store("iam", "internet"), &Question::default()).is_empty());
    assert!(paths(&store("none", "inside"), &Question::default()).is_empty());
    assert_eq!(paths(&store("none", "inside"), &from("inside")).len(), 1);
}

#[test]
fn r3_what_a_node_has_and_sees() {
    let text = r#"
zones: { inside: {} }
data: { a: { class: internal }, b: { class: internal }, c: { class: internal }, d: { class: internal }, e: { class: internal } }
nodes:
  node: { kind: service, zone: inside, holds: [a], reads: [b] }
  before: { kind: service, zone: inside }
  behind: { kind: service, zone: inside, auth: token, holds: [e] }
flows:
  - { id: in, from: before, to: node, carries: [c], via: { tls: "1.3" } }
  - { id: out, from: node, to: behind, returns: [d], via: { tls: "1.3" } }
"#;
    let mut got: Vec<String> = paths(text, &from("node")).into_iter().map(|p| p.to).collect();
    got.sort();
    assert_eq!(got, ["a", "b", "c", "d"]);
}

#[test]
fn r4_what_a_secret_opens() {
    let text = |reach: &str| {
        format!(
            r#"
zones: {{ inside: {{}}, core: {{}} }}
data: {{ key: {{ class: secret, opens: [db] }}, order: {{ class: confidential }} }}
nodes:
  db: {{ kind: store, zone: core, auth: password, exposed_to: [{reach}], holds: [order] }}
"#
        )
    };
    let question = Question { assume: vec!["hold key".to_owned()], ..from("inside") };
    let found = paths(&text("inside"), &question);
    let steps: Vec<&str> = found.iter().flat_map(|p| &p.steps).map(|s| s.does.as_str()).collect();
    assert_eq!(
        steps,
        [
            "is somewhere in `inside`",
            "has `key`, as was assumed",
            "connects to `db`, which is exposed to `inside`",
            "opens `db` with `key` and reads `order`",
        ]
    );
    assert!(paths(&text("core"), &question).is_empty(), "held and out of reach");
    assert!(paths(&text("inside"), &from("inside")).is_empty(), "in reach and not held");
    let reach = Question { assume: vec!["hold key".to_owned(), "reach db".to_owned()], ..from("inside") };
    assert_eq!(paths(&text("core"), &reach).len(), 1);
}

#[test]
fn a_flow_that_asks_for_a_token_is_no_way_in_without_one() {
    let text = |party: &str, via: &str, guards: &str| {
        format!(
            r#"
mesh: {{ issuers: {{ us: {{ issuer: https://us.example, jwks_uri: https://us.example/jwks.json, audiences: [us] }} }} }}
zones: {{ internet: {{ trust: none }}, edge: {{}}, inside: {{}} }}
data: {{ order: {{ class: confidential }}, token: {{ class: secret, opens: [entry], ttl: 1h }} }}
nodes:
  member: {{ kind: party, zone: internet{party} }}
  entry: {{ kind: service, zone: edge{guards} }}
  orders: {{ kind: service, zone: inside, auth: mtls, reads: [order] }}
flows:
  - {{ id: shop, from: member, to: entry, carries: [token, order], via: {{ tls: "1.3"{via} }} }}
  - {{ id: place, from: entry, to: orders, carries: [order], via: {{ mtls: true }} }}
"#
        )
    };
    let found = |text: &str| paths(text, &to("order")).len();
    for party in ["", ", auth: none", ", auth: password"] {
        assert_eq!(found(&text(party, "", "")), 1, "{party}: a page that everybody may see");
    }
    for party in [", auth: jwt", ", auth: oidc", ", auth: mtls", ", auth: token", ", auth: iam"] {
        assert_eq!(found(&text(party, "", "")), 0, "{party}");
    }
    assert_eq!(found(&text("", ", jwt: us", "")), 0);
    assert_eq!(found(&text("", ", auth: token", "")), 0);
    assert_eq!(found(&text("", ", mtls: true", "")), 0);
    assert_eq!(found(&text("", "", ", guards: [oidc]")), 0);
    // With the token it is one, and so it is for the party.
    let jwt = text(", auth: jwt", "", "");
    let holding = Question { assume: vec!["hold token".to_owned()], ..to("order") };
    let with = paths(&jwt, &holding);
    assert!(with[0].steps.iter().any(|s| s.does.ends_with("by `place`, with `token`")), "{}", words(&with));
    assert_eq!(paths(&jwt, &Question { from: vec!["member".to_owned()], ..to("order") }).len(), 1);
    // Nobody gets as far as a connection without the certificate.
    assert!(paths(&text(", auth: mtls", "", ""), &Question { to: vec!["entry".to_owned()], ..holding }).is_empty());
}

#[test]
fn a_path_to_one_thing_ends_there() {
    let more = CURRENT.replace(
        "\nflows:\n",
        "\nflows:\n  - { id: more, from: aws-api, to: alb, carries: [ssh-key], returns: [app-account], via: { tls: \"1.3\", auth: token } }\n",
    );
    let ends = |question: &Question| paths(&more, question).iter().map(|p| p.to.clone()).collect::<Vec<_>>();
    assert_eq!(ends(&to("aws-api")), ["aws-api"]);
    assert!(ends(&Question::default()).contains(&"k8s-api".to_owned()), "it goes on to what it opens next");
}

/// How a customer could prove himself is no lock of a page that says that it asks nobody.
#[test]
fn who_asks_nobody_asks_nobody_whatever_the_caller_has() {
    for auth in ["oidc", "mtls", "jwt"] {
        let open = format!(
            "
zones: {{ internet: {{ trust: none }}, inside: {{}} }}
data: {{ record: {{ class: confidential }}, session: {{ class: secret, opens: [records], ttl: 1h }} }}
nodes:
  customer: {{ kind: party, zone: internet, auth: {auth} }}
  front: {{ kind: service, zone: inside, auth: none, guards: [waf] }}
  records: {{ kind: service, zone: inside, auth: token, guards: [waf], holds: [record] }}
flows:
  - {{ id: sign-in, from: customer, to: front, returns: [session], via: {{ tls: \"1.3\" }} }}
  - {{ id: ask, from: customer, to: records, carries: [session], returns: [record], via: {{ tls: \"1.3\", auth: token }} }}
"
        );
        let ids = |text: &str| paths(text, &Question::default()).iter().map(|p| p.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&open), ["internet>record"], "{auth}");
        assert_eq!(ids(&open.replace("auth: none", "auth: oidc")), [""; 0], "{auth}");
    }
}

/// Where one of two flows asks for nothing, that is the one that a path names.
#[test]
fn a_path_names_the_flow_that_asks_for_nothing() {
    let guardian = include_str!("../../../../examples/guardian/ward.yaml");
    for path in paths(guardian, &Question::default()) {
        assert_eq!(path.steps[1].does, "sends requests to `gateway`, as anybody there may by `log-in`");
    }
}

#[test]
fn whoever_administers_a_zone_has_what_lies_in_it() {
    let text = |zone: &str| {
        format!(
            r#"
zones: {{ cloud: {{}}, cluster: {{ in: cloud }}, office: {{}} }}
data: {{ order: {{ class: confidential }} }}
nodes:
  cluster-api: {{ kind: service, zone: cluster, privilege: admin, auth: rbac }}
  orders: {{ kind: store, zone: {zone}, auth: iam, at_rest: kms, holds: [order] }}
"#
        )
    };
    let cluster = Question { assume: vec!["control cluster-api".to_owned()], ..from("office") };
    assert_eq!(paths(&text("cluster"), &cluster).len(), 1);
    assert!(paths(&text("cloud"), &cluster).is_empty(), "what is around it is not its own");
    assert!(paths(&text("office"), &cluster).is_empty());
    let other = text("cluster").replace("privilege: admin, ", "");
    assert!(paths(&other, &cluster).is_empty(), "a service like any other");
}

/// Whoever can change a program controls what runs it, and a store that keeps one does not run it.
#[test]
fn what_is_built_is_run() {
    let text = |of: &str| {
        format!(
            r#"
zones: {{ build: {{}}, runtime: {{}} }}
data: {{ order: {{ class: confidential }}, image: {{ class: internal, of: {of} }}, key: {{ class: secret, opens: [registry], ttl: 1h }} }}
nodes:
  pipeline: {{ kind: service, zone: build }}
  registry: {{ kind: store, zone: build, auth: token, at_rest: kms, holds: [image, key] }}
  host: {{ kind: service, zone: runtime, reads: [order] }}
flows:
  - {{ id: push, from: pipeline, to: registry, carries: [image], via: {{ tls: "1.3" }} }}
  - {{ id: pull, from: host, to: registry, returns: [image], via: {{ tls: "1.3" }} }}
"#
        )
    };
    let pipeline = |datum: &str| Question { from: vec!["pipeline".to_owned()], ..to(datum) };
    check(
        &text("image"),
        &pipeline("order"),
        expect![[r#"
            confidential pipeline>order by [], also []
              controls `pipeline` (-)
              puts his own into `image`, which comes from `pipeline` (T1195.002)
              controls `host`, which fetches it by `pull` and runs it (-)
              finds `order` on `host` (T1005)
        "#]],
    );
    assert!(paths(&text("image"), &pipeline("key")).is_empty(), "to send to a store is not to have what is in it");
    assert!(paths(&text("report"), &pipeline("order")).is_empty());
}

/// A service where nobody is trusted is anybody, unless it proves who it is.
#[test]
fn a_service_in_a_zone_without_trust_is_anybody() {
    let text = |via: &str| {
        format!(
            r#"
zones: {{ partners: {{ trust: none }}, inside: {{}} }}
data: {{ event: {{ class: internal }}, order: {{ class: confidential }} }}
nodes:
  sender: {{ kind: service, zone: partners }}
  hook: {{ kind: service, zone: inside, reads: [order] }}
flows:
  - {{ id: notify, from: sender, to: hook, carries: [event], via: {{ {via} }} }}
"#
        )
    };
    assert_eq!(paths(&text("tls: \"1.3\""), &Question::default())[0].way, ["exploit hook"]);
    assert!(paths(&text("mtls: true"), &Question::default()).is_empty());
}

#[test]
fn what_is_exposed_with_nothing_before_it_may_be_broken_into() {
    let text = |node: &str| {
        format!(
            r#"
zones: {{ internet: {{ trust: none }}, inside: {{}} }}
data: {{ metric: {{ class: internal }} }}
nodes:
  board: {{ kind: service, zone: inside, exposed_to: [internet], {node} }}
  metrics: {{ kind: store, zone: inside, auth: iam, at_rest: volume, holds: [metric] }}
flows:
  - {{ id: query, from: board, to: metrics, returns: [metric], via: {{ tls: "1.3" }} }}
"#
        )
    };
    let found = paths(&text("auth: password"), &Question::default());
    assert_eq!(found[0].way, ["exploit board"]);
    for other in ["guards: [waf]", "guards: [oidc]", "auth: iam", "auth: mtls", "run: { command: [./board] }"] {
        assert!(paths(&text(other), &Question::default()).is_empty(), "{other}");
    }
}

#[test]
fn a_wire_in_the_clear_is_read_where_it_passes() {
    let text = |tls: &str| {
        format!(
            r#"
zones: {{ campus: {{}}, left: {{ in: campus }}, right: {{ in: campus }}, other: {{ in: campus }} }}
data: {{ order: {{ class: internal }} }}
nodes:
  a: {{ kind: service, zone: left }}
  b: {{ kind: service, zone: right }}
  c: {{ kind: service, zone: other }}
flows:
  - {{ id: ab, from: a, to: b, carries: [order]{tls} }}
"#
        )
    };
    let plain = text(", via: { tls: none }");
    for zone in ["left", "right", "campus", "other"] {
        assert_eq!(paths(&plain, &from(zone)).len(), 1, "{zone} lies on the way, or in what does");
    }
    assert!(paths(&text(", via: { tls: \"1.3\" }"), &from("campus")).is_empty());
    assert!(paths(&text(", via: { local: true }"), &from("campus")).is_empty());
    assert!(paths(&text(""), &from("campus")).is_empty(), "nothing is said of it, and nothing asks for protection");
    let path = &paths(&plain, &from("campus"))[0];
    assert_eq!(path.assumptions().count(), 1);
}

#[test]
fn names_that_are_not_there_have_a_closest_one() {
    let model = model(CURRENT);
    let attack = Attack::new(&model);
    let error = |question: &Question| attack.paths(question, None).unwrap_err();
    assert_eq!(
        error(&from("atacker")).to_string(),
        "the model has no node or zone `atacker`; did you mean `attacker`?"
    );
    assert_eq!(error(&to("backup")).to_string(), "the model has no datum or node `backup`; did you mean `backups`?");
    let assume = |text: &str| Question { assume: vec![text.to_owned()], ..Question::default() };
    assert!(matches!(error(&assume("own app")), QuestionError::Assumption(_)));
    assert!(matches!(error(&assume("app")), QuestionError::Assumption(_)));
    assert!(matches!(error(&assume("hold app")), QuestionError::Unknown { kind: "datum", .. }));
    assert!(attack.blast(Some("imdss")).is_err());
}

#[test]
fn techniques_are_well_formed_and_unique() {
    let mut ids: Vec<&str> = TECHNIQUES.iter().map(|t| t.id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    for technique in TECHNIQUES {
        let (base, sub) = technique.id.split_once('.').map_or((technique.id, None), |(b, s)| (b, Some(s)));
        assert!(base.len() == 5 && base.starts_with('T') && base[1..].chars().all(|c| c.is_ascii_digit()));
        assert!(sub.is_none_or(|s| s.len() == 3 && s.chars().all(|c| c.is_ascii_digit())));
        // A sub-technique is told with its parent, as ATT&CK writes it.
        assert!(sub.is_none() || technique.name.contains(": "), "{technique}");
    }
}

/// A diagram of a few nodes, of which every word is chosen.
#[derive(Clone, Debug)]
struct Drawn {
    nodes: Vec<[usize; 4]>,
    flows: Vec<(usize, usize, usize, usize)>,
    opens: Vec<usize>,
}

const NODES: usize = 6;
const DATA: usize = 4;

fn drawn() -> impl Strategy<Value = Drawn> {
    let node = [0..3usize, 0..4usize, 0..5usize, 0..DATA];
    let flow = (0..NODES, 0..NODES, 0..DATA, 0..4usize);
    let opens = prop::collection::vec(0..NODES, DATA);
    (prop::collection::vec(node, NODES), prop::collection::vec(flow, 0..9), opens)
        .prop_map(|(nodes, flows, opens)| Drawn { nodes, flows, opens })
}

impl Drawn {
    /// As text; without one of the nodes, and with the flows in another order.
    fn text(&self, without: Option<usize>, reversed: bool) -> String {
        let mut out = "zones: { internet: { trust: none }, edge: {}, inside: { in: edge } }\ndata:\n".to_owned();
        for (datum, opens) in self.opens.iter().enumerate() {
            let class = ["internal", "confidential", "secret", "secret"][datum];
            let opens = if class == "secret" && Some(*opens) != without {
                format!(", opens: [n{opens}]")
            } else {
                String::new()
            };
            writeln!(out, "  d{datum}: {{ class: {class}{opens} }}").unwrap();
        }
        out += "nodes:\n  stranger: { kind: party, zone: internet, hostile: true }\n";
        for (id, [zone, what, guard, holds]) in self.nodes.iter().enumerate().filter(|(id, _)| Some(*id) != without) {
            let zone = ["edge", "inside", "inside"][*zone];
            let what =
                ["kind: store", "kind: service", "kind: service, port: 22", "kind: service, privilege: admin"][*what];
            let guard = [
                "auth: none",
                "auth: key",
                "auth: iam",
                "auth: none, exposed_to: [internet]",
                "auth: key, exposed_to: [internet]",
            ][*guard];
            writeln!(out, "  n{id}: {{ {what}, zone: {zone}, {guard}, holds: [d{holds}] }}").unwrap();
        }
        let mut lines: Vec<String> = Vec::new();
        for (id, (a, b, datum, via)) in self.flows.iter().enumerate() {
            if a == b || without == Some(*a) || without == Some(*b) {
                continue;
            }
            let source = if *via == 3 { "stranger".to_owned() } else { format!("n{a}") };
            let via = ["tls: none", "tls: \"1.3\"", "local: true", "tls: \"1.3\""][*via];
            lines.push(format!(
                "  - {{ id: f{id}, from: {source}, to: n{b}, carries: [d{datum}], via: {{ {via} }} }}\n"
            ));
        }
        if reversed {
            lines.reverse();
        }
        if !lines.is_empty() {
            out += "flows:\n";
            out.extend(lines);
        }
        out
    }

    fn reached(&self, without: Option<usize>) -> Vec<String> {
        let model = model(&self.text(without, false));
        let mut all: Vec<String> = Vec::new();
        for name in model.data.keys() {
            if !Attack::new(&model).paths(&to(name.as_str()), None).unwrap().is_empty() {
                all.push(name.to_string());
            }
        }
        all
    }
}

/// A path is a derivation: each step follows from those before it, and none stands there twice.
fn is_derivation(attack: &Attack<'_>, path: &Path) -> bool {
    let mut had = Vec::new();
    path.steps.iter().all(|step| {
        let follows = |s: &crate::closure::Step| {
            s.fact == step.fact && s.by == step.by && s.from.iter().flatten().all(|f| had.contains(f))
        };
        let is_next = !had.contains(&step.fact)
            && (step.by == crate::closure::By::Given || attack.steps.all().any(|s| follows(&s)));
        had.push(step.fact);
        is_next
    })
}

/// `d2` opens the way to what `d3` opens, and is kept there: no path gets it there for the first time.
#[test]
fn what_is_needed_on_the_way_is_not_what_is_got_at_its_end() {
    let drawn = Drawn {
        nodes: vec![[1, 3, 0, 0], [0, 0, 0, 2], [0, 2, 0, 0], [0, 3, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
        flows: vec![(4, 2, 0, 0), (2, 3, 0, 0), (2, 1, 2, 0), (1, 0, 3, 3)],
        opens: vec![0, 0, 2, 1],
    };
    let model = model(&drawn.text(None, false));
    let attack = Attack::new(&model);
    let paths = attack.paths(&Question::default(), None).unwrap();
    assert!(!paths.is_empty());
    assert!(paths.iter().all(|path| is_derivation(&attack, path)), "{}", words(&paths));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_the_model_never_matters(drawn in drawn()) {
        let both = [false, true].map(|turned| words(&paths(&drawn.text(None, turned), &Question::default())));
        prop_assert_eq!(&both[0], &both[1]);
    }

    #[test]
    fn another_flow_never_takes_a_path_away(drawn in drawn()) {
        let mut less = drawn.clone();
        less.flows.pop();
        let (less, more) = (less.reached(None), drawn.reached(None));
        prop_assert!(less.iter().all(|d| more.contains(d)), "{:?} {:?}", less, more);
    }

    #[test]
    fn a_node_less_never_adds_a_path(drawn in drawn(), node in 0..NODES) {
        let (less, more) = (drawn.reached(Some(node)), drawn.reached(None));
        prop_assert!(less.iter().all(|d| more.contains(d)), "{:?} {:?}", less, more);
    }

    #[test]
    fn each_step_follows_from_those_before(drawn in drawn()) {
        let model = model(&drawn.text(None, false));
        let attack = Attack::new(&model);
        for path in attack.paths(&Question::default(), None).unwrap() {
            prop_assert!(is_derivation(&attack, &path), "{}", words(std::slice::from_ref(&path)));
        }
    }

    /// What is on a path is what the closure has, and the other way round.
    #[test]
    fn paths_lead_to_what_the_closure_holds(drawn in drawn()) {
        use crate::closure::{Closure, Fact, Start};
        let model = model(&drawn.text(None, false));
        let view = crate::view::View::new(&model);
        let closure = Closure::new(&view, &Start::outside(&view));
        let held: Vec<String> = (0..view.data.len())
            .filter(|d| closure.has(Fact::Hold(*d)))
            .map(|d| view.datum(d).name.to_string())
            .collect();
        prop_assert_eq!(drawn.reached(None), held);
    }
}
