//! The link against a scripted control plane: what it does when the other side refuses, repeats, vanishes or lies.
use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ca::Authority;
use daemon::{Clock, Tasks, logs::chain};
use identity::JoinToken;
use prost::Message;
use tempfile::TempDir;
use tonic::{Code, Status};
use wire::{
    TYPE_URL_PREFIX,
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource},
    v1::{
        DecisionRecord, ProbeNonce, ReportResponse,
        resources::{Authentication, Bundle, KeySet, Listener, Policy, Service, Upstream, Workload},
    },
};

use self::peer::{DAY, DiscoveryStream, Peer, TTL, within};
use super::{Link, LinkError, start};
use crate::{Proxy, Settings};

mod audit;
mod peer;

const START_MS: u64 = 1_800_000_000_000;

struct Mesh {
    clock: Clock,
    folder: TempDir,
    peer: Peer,
}

impl Mesh {
    async fn new() -> Self {
        let clock = Clock::manual(START_MS);
        let peer = Peer::start(&clock).await;
        Self { clock, folder: tempfile::tempdir().unwrap(), peer }
    }

    fn proxy(&self, token: Option<&JoinToken>) -> Proxy {
        proxy(&self.clock, self.folder.path(), &self.peer.address.to_string(), token)
    }

    /// A proxy that has joined and holds revision 1.
    async fn running(&mut self) -> (Proxy, Link, DiscoveryStream) {
        let proxy = self.proxy(Some(&self.peer.token("orders")));
        let link = start(proxy.clone()).unwrap();
        let mut discovery = self.peer.discovery().await;
        discovery.first().await;
        send_all(&discovery, &self.workload(1)).await;
        assert_eq!(discovery.answers(6).await, acks(&["1", "2", "3", "4", "a", "b"]));
        (proxy, link, discovery)
    }

    /// Ends a link without waiting for a control plane that says nothing.
    async fn end(&mut self, link: Link) {
        let silent = async {
            while let Some(stream) = self.peer.reports.recv().await {
                drop(stream);
            }
        };
        tokio::select! {
            () = link.finish() => {}
            () = silent => {}
        }
    }

    fn workload(&self, revision: u64) -> [DeltaDiscoveryResponse; 6] {
        let root = self.peer.root.certificate().to_vec();
        [
            response("a", Vec::<(String, KeySet)>::new()),
            response("b", Vec::<(String, Authentication)>::new()),
            response("1", vec![bundle(root)]),
            response("2", vec![policy()]),
            response("3", Vec::<(String, Upstream)>::new()),
            response("4", vec![workload(revision)]),
        ]
    }
}

fn proxy(clock: &Clock, state: &Path, address: &str, token: Option<&JoinToken>) -> Proxy {
    let token = token.map(|token| format!("\n  token: {token}")).unwrap_or_default();
    let text = format!(
        "inbound: 127.0.0.1:15008\ncontrol:\n  address: {address}\n  node: orders\n  state_dir: {}{token}\n",
        state.display()
    );
    let mut settings = Settings::parse(Path::new("proxy.yaml"), &text).unwrap();
    settings.ephemeral_ports = true;
    Proxy::new(settings, clock.clone(), Tasks::new()).unwrap()
}

/// What `response` wants to know about a resource.
trait Named: Message + Clone {
    const KIND: &'static str;
}
impl Named for KeySet {
    const KIND: &'static str = "KeySet";
}
impl Named for Authentication {
    const KIND: &'static str = "Authentication";
}
impl Named for Bundle {
    const KIND: &'static str = "Bundle";
}
impl Named for Policy {
    const KIND: &'static str = "Policy";
}
impl Named for Upstream {
    const KIND: &'static str = "Upstream";
}
impl Named for Workload {
    const KIND: &'static str = "Workload";
}

fn response<T: Named>(nonce: &str, resources: Vec<(String, T)>) -> DeltaDiscoveryResponse {
    let type_url = format!("{TYPE_URL_PREFIX}{}", T::KIND);
    let resources = resources.into_iter().map(|(name, resource)| Resource {
        version: format!("v{nonce}"),
        resource: Some(prost_types::Any { type_url: type_url.clone(), value: resource.encode_to_vec() }),
        name,
    });
    DeltaDiscoveryResponse {
        resources: resources.collect(),
        type_url: type_url.clone(),
        nonce: nonce.to_owned(),
        ..Default::default()
    }
}

fn workload(revision: u64) -> (String, Workload) {
    let workload = Workload {
        node: "orders".to_owned(),
        namespace: "shop".to_owned(),
        spiffe_id: "spiffe://shop.example/ns/shop/sa/orders".to_owned(),
        services: vec![Service { port: 8080, protocol: "http".to_owned(), address: String::new() }],
        revision,
        trust_domain: "shop.example".to_owned(),
        root_namespace: "ward-system".to_owned(),
        ..Default::default()
    };
    ("orders".to_owned(), workload)
}

fn policy() -> (String, Policy) {
    let document = r#"{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy",
        "metadata":{"name":"nothing","namespace":"shop"},"spec":{}}"#;
    let name = "shop/nothing".to_owned();
    (name.clone(), Policy { name, document: document.to_owned() })
}

fn bundle(root: Vec<u8>) -> (String, Bundle) {
    let name = "shop.example".to_owned();
    (name.clone(), Bundle { trust_domain: name, roots: vec![root] })
}

async fn send_all(discovery: &DiscoveryStream, responses: &[DeltaDiscoveryResponse]) {
    for response in responses {
        discovery.send(response.clone()).await;
    }
}

fn acks(nonces: &[&str]) -> Vec<(String, String)> {
    nonces.iter().map(|nonce| ((*nonce).to_owned(), String::new())).collect()
}

fn initial_versions(first: &[DeltaDiscoveryRequest]) -> Vec<(String, Vec<(String, String)>)> {
    let of = |request: &DeltaDiscoveryRequest| {
        let mut versions: Vec<_> = request.initial_resource_versions.clone().into_iter().collect();
        versions.sort();
        (request.type_url.trim_start_matches(TYPE_URL_PREFIX).to_owned(), versions)
    };
    first.iter().map(of).collect()
}

fn decision(id: &str) -> DecisionRecord {
    DecisionRecord { id: id.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn joins_takes_a_configuration_and_keeps_both() {
    let mut mesh = Mesh::new().await;
    let token = mesh.peer.token("orders");
    let proxy = mesh.proxy(Some(&token));
    let link = start(proxy.clone()).unwrap();
    let mut discovery = mesh.peer.discovery().await;
    let first = discovery.first().await;
    let none = Vec::<(String, String)>::new();
    let expected = ["KeySet", "Authentication", "Bundle", "Policy", "Upstream", "Workload"];
    let expected = expected.map(|kind| (kind.to_owned(), none.clone()));
    assert_eq!(initial_versions(&first), expected);
    assert!(first.iter().all(|r| r.node.as_ref().is_some_and(|n| n.id == "orders/0")));
    assert_eq!(mesh.peer.signing.lock().unwrap().joins[0].token, token.to_string());

    // Not before everything is there: a policy on its way must not leave the port open to everybody.
    let [key_sets, authentications, bundle, policy, upstreams, workload] = mesh.workload(1);
    send_all(&discovery, &[workload, bundle, key_sets, authentications, upstreams]).await;
    discovery
        .send(DeltaDiscoveryResponse { type_url: "nonsense".to_owned(), nonce: "x".to_owned(), ..policy.clone() })
        .await;
    assert_eq!(discovery.answers(1).await, [("x".to_owned(), "unknown resource type `nonsense`".to_owned())]);
    assert_eq!(proxy.revision(), None);
    discovery.send(policy).await;
    assert_eq!(discovery.answers(6).await, acks(&["1", "2", "3", "4", "a", "b"]));
    assert_eq!(proxy.revision(), Some(1));
    assert!(proxy.is_ready());

    let mut reports = mesh.peer.report().await;
    let hello = reports.next().await.hello.unwrap();
    let (_, inbound) = proxy.addresses().into_iter().next().unwrap();
    assert_eq!((hello.instance.as_str(), hello.isolation.as_str()), ("orders/0", "host"));
    assert_eq!(hello.mesh_address, inbound.to_string());
    for file in ["identity.json", "configuration.json"] {
        let mode = std::fs::metadata(mesh.folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    drop(link);
}

#[tokio::test]
async fn a_bad_configuration_is_refused_and_mended() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, mut discovery) = mesh.running().await;
    let (name, mut bad) = workload(2);
    bad.services[0].protocol = "gopher".to_owned();
    discovery.send(response("5", vec![(name.clone(), bad)])).await;
    let answers = discovery.answers(1).await;
    assert_eq!(answers[0].0, "5");
    assert!(answers[0].1.contains("workload.services[0].protocol") && answers[0].1.contains("gopher"), "{answers:?}");
    assert_eq!(proxy.revision(), Some(1));

    // Resources that contradict themselves are refused alone.
    discovery.send(response("6", vec![("payments".to_owned(), workload(3).1)])).await;
    let contradiction = "resource `payments` calls itself `orders`".to_owned();
    assert_eq!(discovery.answers(1).await, [("6".to_owned(), contradiction)]);
    let mut garbage = response("7", vec![workload(3)]);
    garbage.resources[0].resource.as_mut().unwrap().value = vec![0xff; 3];
    discovery.send(garbage).await;
    assert!(discovery.answers(1).await[0].1.starts_with("resource `orders` cannot be read"));

    // Taking the last policy away would open the port to everybody.
    let mut removal = response::<Policy>("8", Vec::new());
    removal.removed_resources.push("shop/nothing".to_owned());
    discovery.send(removal).await;
    let open = "a workload that serves and has no policy would let everybody in".to_owned();
    assert_eq!(discovery.answers(1).await, [("8".to_owned(), open)]);
    assert_eq!(proxy.revision(), Some(1));

    send_all(&discovery, &[response("9", vec![policy()]), response("10", vec![workload(4)])]).await;
    assert_eq!(discovery.answers(2).await, acks(&["10", "9"]));
    assert_eq!(proxy.revision(), Some(4));
    drop(link);
}

#[tokio::test]
async fn keys_of_issuers_come_go_and_survive_a_restart() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, mut discovery) = mesh.running().await;
    let issuers = |proxy: &Proxy| {
        let snapshot = proxy.shared().snapshot.load_full().unwrap();
        snapshot.tokens.issuers().map(|(issuer, keys)| (issuer.to_owned(), keys)).collect::<Vec<_>>()
    };
    assert_eq!(issuers(&proxy), []);
    let address = "https://issuer.test/jwks.json".to_owned();
    let document = format!(
        r#"{{"apiVersion":"security.istio.io/v1","kind":"RequestAuthentication","metadata":{{"name":"t","namespace":"shop"}},
        "spec":{{"jwtRules":[{{"issuer":"https://issuer.test","jwksUri":"{address}"}}]}}}}"#
    );
    let authentication = ("shop/t".to_owned(), Authentication { name: "shop/t".to_owned(), document });
    let keys = |jwks: &str| (address.clone(), KeySet { name: address.clone(), jwks: jwks.to_owned() });
    // The document may come before its keys: until then every token is refused.
    discovery.send(response("5", vec![authentication])).await;
    assert_eq!(discovery.answers(1).await, acks(&["5"]));
    assert_eq!(issuers(&proxy), [("https://issuer.test".to_owned(), false)]);
    let jwks = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    discovery.send(response("6", vec![keys(jwks)])).await;
    assert_eq!(discovery.answers(1).await, acks(&["6"]));
    assert_eq!(issuers(&proxy), [("https://issuer.test".to_owned(), true)]);
    // Kept with the rest.
    mesh.end(link).await;
    let again = super::tests::proxy(&mesh.clock, mesh.folder.path(), "127.0.0.1:1", None);
    let link = start(again.clone()).unwrap();
    assert_eq!(issuers(&again), [("https://issuer.test".to_owned(), true)]);
    mesh.end(link).await;

    let proxy = mesh.proxy(None);
    let link = start(proxy.clone()).unwrap();
    let mut discovery = mesh.peer.discovery().await;
    let held = initial_versions(&discovery.first().await);
    assert_eq!(held.first().unwrap(), &("KeySet".to_owned(), vec![(address.clone(), "v6".to_owned())]));
    discovery.send(response("1", vec![keys("")])).await;
    assert_eq!(discovery.answers(1).await, acks(&["1"]));
    assert_eq!(issuers(&proxy), [("https://issuer.test".to_owned(), false)]);
    drop(link);
}

#[tokio::test]
async fn after_a_loss_only_what_changed_is_asked_for() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, discovery) = mesh.running().await;
    let mut reports = mesh.peer.report().await;
    assert!(reports.next().await.hello.is_some());
    proxy.decisions().push(decision("first")).unwrap();
    let sent = reports.until(|r| !r.decisions.is_empty()).await;
    assert_eq!(sent.decisions[0].id, "first");
    // Not acknowledged, and the stream breaks.
    drop((discovery, reports));

    let mut discovery = mesh.peer.discovery().await;
    let v = |name: &str, version: &str| vec![(name.to_owned(), version.to_owned())];
    let held = initial_versions(&discovery.first().await);
    let expected = [
        ("KeySet", Vec::new()),
        ("Authentication", Vec::new()),
        ("Bundle", v("shop.example", "v1")),
        ("Policy", v("shop/nothing", "v2")),
        ("Upstream", Vec::new()),
        ("Workload", v("orders", "v4")),
    ];
    assert_eq!(held, expected.map(|(kind, versions)| (kind.to_owned(), versions)));
    assert_eq!(mesh.peer.signing.lock().unwrap().joins.len(), 1);
    let mut reports = mesh.peer.report().await;
    let again = reports.until(|r| !r.decisions.is_empty()).await;
    assert_eq!((again.sequence, again.decisions[0].id.as_str()), (1, "first"));
    assert!(again.hello.is_some());
    reports.send(ReportResponse { acked: 1, ..Default::default() }).await;

    discovery.send(response("1", vec![workload(2)])).await;
    assert_eq!(discovery.answers(1).await, acks(&["1"]));
    assert_eq!(proxy.revision(), Some(2));
    // What is acknowledged is not sent again.
    proxy.decisions().push(decision("second")).unwrap();
    let next = reports.until(|r| !r.decisions.is_empty()).await;
    assert_eq!(next.decisions.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["second"]);
    drop(link);
}

#[tokio::test]
async fn a_restart_needs_neither_token_nor_control_plane() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, _discovery) = mesh.running().await;
    let id = "spiffe://shop.example/ns/shop/sa/orders";
    mesh.end(link).await;
    assert_eq!(proxy.revision(), Some(1));
    mesh.peer.stop().await;

    let again = super::tests::proxy(&mesh.clock, mesh.folder.path(), "127.0.0.1:1", None);
    let link = start(again.clone()).unwrap();
    assert_eq!(again.revision(), Some(1));
    assert!(again.is_ready());
    link.finish().await;
    let kept = std::fs::read_to_string(mesh.folder.path().join("configuration.json")).unwrap();
    assert!(kept.contains(id));

    // A state directory belongs to one node.
    let text =
        format!("control: {{ address: '127.0.0.1:1', node: payments, state_dir: '{}' }}", mesh.folder.path().display());
    let other = Settings::parse(Path::new("proxy.yaml"), &text).unwrap();
    let error = start(Proxy::new(other, mesh.clock.clone(), Tasks::new()).unwrap()).err().unwrap();
    assert!(chain(&error).contains("this proxy is node `payments`"), "{}", chain(&error));

    // What is kept serves until it has expired, and not a second longer.
    mesh.clock.advance(TTL);
    let late = super::tests::proxy(&mesh.clock, mesh.folder.path(), "127.0.0.1:1", None);
    let error = start(late.clone()).err().unwrap();
    assert!(matches!(error, LinkError::NoToken { .. }), "{error}");
    assert_eq!(late.revision(), None);
}

#[tokio::test]
async fn the_svid_is_renewed_at_half_its_life_without_a_goodbye() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, mut discovery) = mesh.running().await;
    let mut reports = mesh.peer.report().await;
    let hello = reports.next().await;
    reports.send(ReportResponse { acked: hello.sequence, ..Default::default() }).await;
    // The first attempt fails; the old SVID serves on.
    mesh.peer.signing.lock().unwrap().refusals.push(Status::unavailable("busy"));
    mesh.clock.advance(TTL / 2 + Duration::from_secs(1));
    let signed = |mesh: &Mesh| mesh.peer.signing.lock().unwrap().signs.len();
    loop {
        let report = tokio::select! {
            second = mesh.peer.discoveries.recv() => panic!("a second stream before renewal: {}", second.is_some()),
            report = reports.next_or_tick() => report,
        };
        if let Some(report) = report {
            reports.send(ReportResponse { acked: report.sequence, ..Default::default() }).await;
        }
        if signed(&mesh) == 1 {
            break;
        }
    }
    assert!(proxy.is_ready());
    // The link may note the refusal only now, so the clock moves on until the wait that follows from it has passed.
    let retried = async {
        loop {
            mesh.clock.advance(Duration::from_secs(1));
            tokio::select! {
                second = mesh.peer.discoveries.recv() => break second.unwrap(),
                report = reports.next_or_tick() => {
                    if let Some(report) = report {
                        reports.send(ReportResponse { acked: report.sequence, ..Default::default() }).await;
                    }
                }
            }
        }
    };
    let mut second = within("a second attempt", retried).await;
    assert_eq!(signed(&mesh), 2);
    second.first().await;
    // The new streams stand before the old ones end, and those are not ended as a goodbye.
    let mut second_reports = mesh.peer.report().await;
    assert!(second_reports.next().await.hello.is_some());
    within("the end of the old discovery stream", discovery.ended()).await;
    second.send(response("1", vec![workload(2)])).await;
    assert_eq!(second.answers(1).await, acks(&["1"]));
    // Beyond the end of the first SVID.
    mesh.clock.advance(TTL / 2);
    assert!(proxy.is_ready());
    drop(link);
}

#[tokio::test]
async fn nonces_are_confirmed_once_they_are_honoured() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, _discovery) = mesh.running().await;
    let mut reports = mesh.peer.report().await;
    reports.next().await;
    let nonces = vec![ProbeNonce { nonce: "abc".to_owned(), ttl: 60 }];
    reports.send(ReportResponse { acked: 1, nonces, ..Default::default() }).await;
    let report = reports.until(|r| !r.nonces_held.is_empty()).await;
    assert_eq!(report.nonces_held, ["abc"]);
    assert!(proxy.nonces().is_live("abc", START_MS + 59_999));
    assert!(!proxy.nonces().is_live("abc", START_MS + 60_000));
    drop(link);
}

#[tokio::test]
async fn the_last_decisions_are_reported_before_the_goodbye() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, _discovery) = mesh.running().await;
    let mut reports = mesh.peer.report().await;
    let first = reports.next().await;
    reports.send(ReportResponse { acked: first.sequence, ..Default::default() }).await;
    proxy.decisions().push(decision("last")).unwrap();
    let ((), last) = tokio::join!(link.finish(), async {
        let last = reports.until(|r| !r.decisions.is_empty()).await;
        reports.send(ReportResponse { acked: last.sequence, ..Default::default() }).await;
        assert!(reports.ends_cleanly().await);
        drop(reports);
        last
    });
    assert_eq!(last.decisions[0].id, "last");
}

#[tokio::test]
async fn what_nobody_took_is_reported_after_the_restart() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, discovery) = mesh.running().await;
    let reports = mesh.peer.report().await;
    proxy.decisions().push(decision("kept")).unwrap();
    drop((discovery, reports));
    mesh.end(link).await;
    assert!(mesh.folder.path().join("reports.bin").exists());
    // What still was in the old streams is not what we are looking for.
    while mesh.peer.discoveries.try_recv().is_ok() || mesh.peer.reports.try_recv().is_ok() {}

    let again = mesh.proxy(None);
    let link = start(again.clone()).unwrap();
    let mut reports = mesh.peer.report().await;
    let report = reports.until(|r| !r.decisions.is_empty()).await;
    assert_eq!(report.decisions.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["kept"]);
    assert!(!mesh.folder.path().join("reports.bin").exists());
    drop(link);
}

#[tokio::test]
async fn an_expired_member_stays_up_and_joins_again() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, discovery) = mesh.running().await;
    mesh.peer.signing.lock().unwrap().refusals = vec![Status::unauthenticated("used up"); 2];
    mesh.clock.advance(TTL + Duration::from_secs(1));
    drop(discovery);
    // It tries the old token, is refused, and neither ends nor serves.
    while mesh.peer.signing.lock().unwrap().joins.len() < 3 {
        tokio::task::yield_now().await;
    }
    let mut again = mesh.peer.discovery().await;
    again.first().await;
    assert_eq!(proxy.revision(), Some(1));
    drop(link);
}

async fn join_error(mesh: &Mesh, token: &JoinToken) -> String {
    let mut link = start(mesh.proxy(Some(token))).unwrap();
    let error = within("the end of the link", link.failed()).await;
    link.finish().await;
    chain(&error)
}

#[tokio::test]
async fn a_refused_join_is_final_and_says_why() {
    let mesh = Mesh::new().await;
    let refusal = Status::unauthenticated("join token abc is refused: it has expired");
    mesh.peer.signing.lock().unwrap().refusals.push(refusal);
    let error = join_error(&mesh, &mesh.peer.token("orders")).await;
    assert!(error.contains("the control plane refused: join token abc is refused: it has expired"), "{error}");
    assert!(!mesh.folder.path().join("identity.json").exists());
    assert_eq!(mesh.peer.signing.lock().unwrap().joins.len(), 1);
}

#[tokio::test]
async fn an_unready_control_plane_is_waited_for() {
    let mut mesh = Mesh::new().await;
    let unready = [Code::Unavailable, Code::FailedPrecondition].map(|code| Status::new(code, "no model yet"));
    mesh.peer.signing.lock().unwrap().refusals.extend(unready);
    let (_, link, _) = mesh.running().await;
    assert_eq!(mesh.peer.signing.lock().unwrap().joins.len(), 3);
    drop(link);
}

#[tokio::test]
async fn a_foreign_control_plane_is_not_joined() {
    let mesh = Mesh::new().await;
    let domain = "shop.example".parse().unwrap();
    let other_root = Authority::generate_root(&domain, DAY, SystemTime::UNIX_EPOCH).unwrap();
    let token = JoinToken::generate("orders".parse().unwrap(), other_root.sha256()).unwrap();
    let error = join_error(&mesh, &token).await;
    assert!(error.contains("the control plane there is not the one this join token was made for"), "{error}");
    // The token never left us.
    assert_eq!(mesh.peer.signing.lock().unwrap().joins.len(), 0);
}

#[tokio::test]
async fn another_nodes_identity_is_not_taken() {
    let mesh = Mesh::new().await;
    mesh.peer.signing.lock().unwrap().identity = Some("spiffe://shop.example/ns/shop/sa/payments".parse().unwrap());
    let error = join_error(&mesh, &mesh.peer.token("orders")).await;
    assert!(error.contains("/sa/payments` was signed, expected node `orders`"), "{error}");
}

#[tokio::test]
async fn tokens_that_cannot_serve() {
    let mesh = Mesh::new().await;
    let refused = |proxy: Proxy| start(proxy).err().unwrap();
    let error = refused(mesh.proxy(None));
    assert!(error.to_string().contains("ward token create orders"), "{error}");
    let error = refused(mesh.proxy(Some(&mesh.peer.token("payments"))));
    assert_eq!(error.to_string(), "the join token is for node `payments`, this proxy is node `orders`");
    let text = format!(
        "control: {{ address: '127.0.0.1:1', node: orders, token: ward1.orders, state_dir: '{}' }}",
        mesh.folder.path().display()
    );
    let settings = Settings::parse(Path::new("proxy.yaml"), &text).unwrap();
    let error = refused(Proxy::new(settings, mesh.clock.clone(), Tasks::new()).unwrap());
    assert!(matches!(error, LinkError::Token(_)), "{error}");
}

#[tokio::test]
async fn a_token_of_another_mesh_replaces_what_is_kept() {
    let mut mesh = Mesh::new().await;
    let (_, link, _discovery) = mesh.running().await;
    mesh.end(link).await;
    let mut elsewhere = Peer::start(&mesh.clock).await;
    let address = elsewhere.address.to_string();
    let proxy = proxy(&mesh.clock, mesh.folder.path(), &address, Some(&elsewhere.token("orders")));
    let link = start(proxy.clone()).unwrap();
    assert_eq!(proxy.revision(), None);
    let mut discovery = elsewhere.discovery().await;
    assert!(discovery.first().await.iter().all(|r| r.initial_resource_versions.is_empty()));
    drop(link);
}

#[tokio::test]
async fn a_gateway_gets_its_server_certificate_before_it_listens() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, mut discovery) = mesh.running().await;
    let gateway = |revision| {
        let (name, mut workload) = workload(revision);
        workload.listeners = vec![Listener {
            port: 8443,
            hosts: vec!["shop.example".to_owned()],
            tls: "auto".to_owned(),
            ..Default::default()
        }];
        (name, workload)
    };
    mesh.peer.signing.lock().unwrap().refusals.push(Status::permission_denied("no such listener"));
    discovery.send(response("5", vec![gateway(2)])).await;
    let refusal = discovery.answers(1).await;
    assert!(refusal[0].1.starts_with("no server certificate for port 8443"), "{refusal:?}");
    assert_eq!(proxy.revision(), Some(1));
    discovery.send(response("6", vec![gateway(3)])).await;
    assert_eq!(discovery.answers(1).await, acks(&["6"]));
    assert_eq!(proxy.revision(), Some(3));
    assert!(proxy.addresses().iter().any(|(kind, _)| *kind == crate::listeners::Kind::Gateway(8443)));
    let signs = mesh.peer.signing.lock().unwrap().signs.clone();
    assert!(signs.iter().all(|sign| sign.listen_port == 8443) && signs.len() == 2, "{signs:?}");
    mesh.end(link).await;

    // It is kept: a restart without a control plane listens again.
    mesh.peer.stop().await;
    let again = super::tests::proxy(&mesh.clock, mesh.folder.path(), "127.0.0.1:1", None);
    let link = start(again.clone()).unwrap();
    assert_eq!(again.revision(), Some(3));
    drop(link);
}

#[tokio::test]
async fn a_control_plane_with_another_root_is_not_believed_later() {
    let mut mesh = Mesh::new().await;
    let (proxy, link, _discovery) = mesh.running().await;
    mesh.end(link).await;
    let domain = "shop.example".parse().unwrap();
    let root = Arc::new(Authority::generate_root(&domain, 10 * DAY, mesh.clock.now() - DAY).unwrap());
    let mut impostor = Peer::start_with(&mesh.clock, root).await;
    let again = super::tests::proxy(&mesh.clock, mesh.folder.path(), &impostor.address.to_string(), None);
    let link = start(again.clone()).unwrap();
    // Our side ends the handshake, each time.
    for _ in 0..2 {
        within("a refused handshake", impostor.refused.recv()).await.unwrap();
    }
    assert!(impostor.discoveries.try_recv().is_err());
    assert_eq!(again.revision(), proxy.revision());
    drop(link);
}
