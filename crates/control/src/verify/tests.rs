//! What is tried, and what an answer proves.
use std::{collections::BTreeMap, sync::Arc};

use expect_test::{Expect, expect};
use rustls::pki_types::CertificateDer;
use wire::v1::{Probe, ProbeResult, ReportRequest, SignRequest, identity_client::IdentityClient, sign_request::Kind};

use super::{
    Line, Summary, Variant, Verdict,
    plan::{Running, plan},
    run, verified_flows,
};
use crate::testkit::{Mesh, Reporting, SHOP, model};

fn planned(text: &str, running: &[(&str, &str)]) -> String {
    let running: BTreeMap<String, Running> =
        running.iter().map(|(n, i)| ((*n).to_owned(), Running { isolation: (*i).to_owned(), address: None })).collect();
    let line = |c: &super::plan::Case| {
        let flow = c.flow.as_deref().unwrap_or("-");
        let why = c.unverifiable.as_deref().map(|w| format!(" UNVERIFIABLE {w}")).unwrap_or_default();
        let note = if c.note.is_empty() { String::new() } else { format!(" ({})", c.note) };
        format!("{flow} {}>{}:{} {:?} {} {:?}{note}{why}\n", c.from, c.to, c.port, c.variant, c.request(), c.expect)
    };
    plan(&model(text), &running).iter().map(line).collect()
}

#[track_caller]
fn check(text: &str, running: &[(&str, &str)], expected: &Expect) {
    expected.assert_eq(&planned(text, running));
}

const ALL: [(&str, &str); 4] =
    [("gateway", "host"), ("orders", "netns"), ("payments", "netns"), ("orders-db", "netns")];

#[test]
fn every_flow_every_weaker_variant_every_absent_edge() {
    check(
        SHOP,
        &ALL,
        &expect![[r#"
            checkout customer>gateway:8443 Flow GET /orders/ward-probe Pass
            checkout customer>gateway:8443 Flow POST /orders Pass
            checkout customer>gateway:8443 WrongRequest GET /ward-probe/undeclared Fail
            checkout customer>gateway:8443 Plaintext GET / Fail
            place gateway>orders:8080 Flow GET /orders/ward-probe Pass
            place gateway>orders:8080 Flow POST /orders Pass
            place gateway>orders:8080 WrongRequest POST /orders/ward-probe Fail
            place gateway>orders:8080 WrongIdentity GET /orders/ward-probe Fail
            place gateway>orders:8080 NoCertificate GET /orders/ward-probe Fail
            place gateway>orders:8080 Plaintext GET /orders/ward-probe Fail
            place gateway>orders:8080 ExpiredSvid GET /orders/ward-probe Fail
            place gateway>orders:8080 ForeignAuthority GET /orders/ward-probe Fail
            place gateway>orders:8080 AppPort connect Fail
            charge orders>payments:8080 Flow POST /charges Pass
            charge orders>payments:8080 WrongRequest GET /charges Fail
            charge orders>payments:8080 WrongIdentity POST /charges Fail
            charge orders>payments:8080 NoCertificate POST /charges Fail
            charge orders>payments:8080 Plaintext POST /charges Fail
            charge orders>payments:8080 ExpiredSvid POST /charges Fail
            charge orders>payments:8080 ForeignAuthority POST /charges Fail
            charge orders>payments:8080 AppPort connect Fail
            save orders>orders-db:5432 Flow connect Pass
            save orders>orders-db:5432 WrongIdentity connect Fail
            save orders>orders-db:5432 NoCertificate connect Fail
            save orders>orders-db:5432 Plaintext connect Fail
            save orders>orders-db:5432 ExpiredSvid connect Fail
            save orders>orders-db:5432 ForeignAuthority connect Fail
            save orders>orders-db:5432 AppPort connect Fail
            - gateway>orders-db:5432 AbsentEdge connect Fail
            - gateway>payments:8080 AbsentEdge POST /charges Fail
            - orders-db>orders:8080 AbsentEdge GET /orders/ward-probe Fail
            - orders-db>payments:8080 AbsentEdge POST /charges Fail
            - payments>orders:8080 AbsentEdge GET /orders/ward-probe Fail
            - payments>orders-db:5432 AbsentEdge connect Fail
        "#]],
    );
}

#[test]
fn what_does_not_run_cannot_be_tried() {
    check(
        SHOP,
        &[("orders", "loopback"), ("orders-db", "loopback")],
        &expect![[r#"
            checkout customer>gateway:8443 Flow - Pass UNVERIFIABLE no instance of `gateway` that answers is connected
            place gateway>orders:8080 Flow - Pass UNVERIFIABLE no instance of `gateway` that sends is connected
            charge orders>payments:8080 Flow - Pass UNVERIFIABLE no instance of `payments` that answers is connected
            save orders>orders-db:5432 Flow connect Pass
            save orders>orders-db:5432 WrongIdentity connect Fail
            save orders>orders-db:5432 NoCertificate connect Fail
            save orders>orders-db:5432 Plaintext connect Fail
            save orders>orders-db:5432 ExpiredSvid connect Fail
            save orders>orders-db:5432 ForeignAuthority connect Fail
            save orders>orders-db:5432 AppPort connect Fail UNVERIFIABLE bypassable: without a network namespace of its own (isolation `loopback`) the application's port is open to this machine; run `ward up` as root
            - orders-db>orders:8080 AbsentEdge GET /orders/ward-probe Fail
        "#]],
    );
}

#[test]
fn a_flow_that_needs_a_token_is_tried_without_one() {
    let issuer =
        "mesh: { issuers: { shop: { issuer: https://shop.example, jwks_uri: https://keys.example/, forward: true } } }";
    let text = SHOP.replace("zones:\n", &format!("{issuer}\nzones:\n"));
    let text = text.replace("via: { allow: [\"GET /orders/{*}\"", "via: { jwt: shop, allow: [\"GET /orders/{*}\"");
    let lines = planned(&text, &ALL);
    let place: String = lines.lines().filter(|l| l.starts_with("place ")).map(|l| format!("{l}\n")).collect();
    expect![[r#"
        place gateway>orders:8080 NoToken GET /orders/ward-probe Fail
        place gateway>orders:8080 NoToken POST /orders Fail
        place gateway>orders:8080 Flow GET /orders/ward-probe Pass UNVERIFIABLE it needs a token of `shop`, which nobody else can make; that it is refused without one is tried
        place gateway>orders:8080 WrongRequest POST /orders/ward-probe Fail
        place gateway>orders:8080 WrongIdentity GET /orders/ward-probe Fail
        place gateway>orders:8080 NoCertificate GET /orders/ward-probe Fail
        place gateway>orders:8080 Plaintext GET /orders/ward-probe Fail
        place gateway>orders:8080 ExpiredSvid GET /orders/ward-probe Fail
        place gateway>orders:8080 ForeignAuthority GET /orders/ward-probe Fail
        place gateway>orders:8080 AppPort connect Fail
    "#]]
    .assert_eq(&place);
}

#[test]
fn dry_run_lets_refusals_through() {
    let text = SHOP.replace("zones:\n", "mesh: { mode: dry-run }\nzones:\n");
    let lines = planned(&text, &[("orders", "netns"), ("payments", "netns")]);
    for line in
        lines.lines().filter(|l| l.contains("WrongRequest") || l.contains("WrongIdentity") || l.contains("AbsentEdge"))
    {
        assert!(line.contains("dry-run"), "{line}");
    }
    assert!(lines.lines().any(|l| l.contains("NoCertificate") && !l.contains("UNVERIFIABLE")), "{lines}");
}

#[test]
fn a_flow_is_verified_when_something_passed_and_nothing_was_violated() {
    let line = |flow: &str, variant, verdict| Line {
        flow: Some(flow.to_owned()),
        from: String::new(),
        to: String::new(),
        port: 0,
        variant,
        request: String::new(),
        expect: super::Expect::Pass,
        outcome: String::new(),
        status: 0,
        decision: String::new(),
        verdict,
        reason: String::new(),
    };
    let lines = [
        line("good", Variant::Flow, Verdict::Ok),
        line("good", Variant::AppPort, Verdict::Unverifiable),
        line("leaky", Variant::Flow, Verdict::Ok),
        line("leaky", Variant::Plaintext, Verdict::Violated),
        line("half", Variant::Flow, Verdict::Ok),
        line("half", Variant::Flow, Verdict::Unverifiable),
        line("refused-only", Variant::Plaintext, Verdict::Ok),
    ];
    assert_eq!(verified_flows(&lines), ["good"]);
    assert_eq!(Summary::of(&lines), Summary { ok: 4, violated: 1, unverifiable: 2 });
}

/// Plays the sidecars of the shop: each confirms nonces and answers probes by `outcome`.
async fn verified(outcome: fn(&Probe) -> &'static str, confirms: bool) -> Vec<Line> {
    let mesh = Mesh::shop().await;
    for (address, (node, _)) in (1..).zip(ALL) {
        let joined = mesh.join(node).await;
        let report = joined.report(&format!("{node}/0"), &format!("10.0.0.{address}:15008")).await;
        mesh.tasks.spawn(async move {
            play(report, outcome, confirms).await;
            drop(joined);
        });
    }
    let id = run::start(mesh.plane(), "test").await.unwrap();
    assert_eq!(run::start(mesh.plane(), "test").await.unwrap(), id, "one run at a time");
    let plane: Arc<_> = mesh.plane().clone();
    crate::testkit::until(|| plane.verifier.progress().is_none()).await;
    let row = plane.store.verify(&id).await.unwrap().unwrap();
    assert_eq!(row.state, "done");
    serde_json::from_str(&row.results).unwrap()
}

async fn play(mut report: Reporting, outcome: fn(&Probe) -> &'static str, confirms: bool) {
    let mut sequence = 1;
    while let Ok(Some(asked)) = report.rx.message().await {
        let nonces_held = asked.nonces.into_iter().filter(|_| confirms).map(|n| n.nonce).collect::<Vec<_>>();
        let probes: Vec<ProbeResult> = asked
            .probes
            .iter()
            .map(|p| ProbeResult { id: p.id.clone(), outcome: outcome(p).to_owned(), ..ProbeResult::default() })
            .collect();
        if nonces_held.is_empty() && probes.is_empty() {
            continue;
        }
        sequence += 1;
        let told = ReportRequest { sequence, nonces_held, probes, ..ReportRequest::default() };
        if report.tx.send(told).await.is_err() {
            return;
        }
    }
}

/// What sidecars answer that enforce the shop's model.
fn honest(probe: &Probe) -> &'static str {
    let (target, request) = (probe.sni.as_str(), format!("{} {}", probe.method, probe.path));
    match probe.kind.as_str() {
        "no-certificate" | "plaintext" | "app-port" => "blocked",
        // The proxy of a test cannot tell three kinds of credentials apart; the chain of the foreign one has no
        // intermediate, and nobody of this mesh would accept it.
        "credentials" => "refused",
        _ if target.starts_with("8080.orders.")
            && matches!(request.as_str(), "GET /orders/ward-probe" | "POST /orders") =>
        {
            "passed"
        }
        _ if target.starts_with("8080.payments.") && request == "POST /charges" => "passed",
        _ if target.starts_with("5432.orders-db.") => "passed",
        _ => "refused",
    }
}

#[tokio::test]
async fn answers_become_verdicts() {
    let lines = verified(honest, true).await;
    // The test's sidecars do not know who asks, so absent edges look open to them: just what a broken policy would do.
    let wrong: Vec<_> = lines
        .iter()
        .filter(|l| l.verdict == Verdict::Violated)
        .map(|l| format!("{}>{} {:?}", l.from, l.to, l.variant))
        .collect();
    assert!(!wrong.is_empty() && wrong.iter().all(|w| w.ends_with("AbsentEdge")), "{wrong:?}");
    assert_eq!(verified_flows(&lines), ["charge", "place", "save"]);
    let open: Vec<_> = lines.iter().filter(|l| l.verdict == Verdict::Unverifiable).map(|l| l.flow.as_deref()).collect();
    // Nobody plays the listener for callers from outside.
    assert_eq!(open, [Some("checkout"); 4]);
}

#[tokio::test]
async fn a_refused_connection_proves_nothing_if_nobody_ever_answered() {
    let lines = verified(|_| "blocked", true).await;
    assert!(lines.iter().all(|l| l.verdict != Verdict::Ok), "{lines:#?}");
    assert!(lines.iter().any(|l| l.verdict == Verdict::Unverifiable && l.reason.contains("answered no probe at all")));
    assert!(
        lines
            .iter()
            .filter(|l| l.variant == Variant::Flow && l.outcome == "blocked")
            .all(|l| l.verdict == Verdict::Violated)
    );
}

#[tokio::test]
async fn a_probe_is_not_sent_before_its_target_expects_it() {
    let only_around = |probe: &Probe| {
        assert_eq!(probe.kind, "app-port", "nobody confirmed");
        "blocked"
    };
    let lines = verified(only_around, false).await;
    let mesh: Vec<_> = lines
        .iter()
        .filter(|l| !matches!(l.variant, Variant::AppPort) && l.flow.as_deref() != Some("checkout"))
        .collect();
    assert!(
        mesh.iter().all(|l| l.verdict == Verdict::Unverifiable && l.reason.contains("did not confirm")),
        "{mesh:#?}"
    );
}

#[tokio::test]
async fn a_gateway_is_tried_from_outside() {
    let mesh = Mesh::empty().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    mesh.apply(&SHOP.replace("8443", &port.to_string())).await;
    let gateway = mesh.join("gateway").await;
    let report = gateway.report("gateway/0", "127.0.0.1:15008").await;
    mesh.tasks.spawn(play(report, |_| "failed", true));
    let (key, csr) = identity::csr::new().unwrap();
    let ask = SignRequest { csr, kind: Kind::Server.into(), listen_port: u32::from(port) };
    let issued = IdentityClient::new(gateway.channel.clone()).sign(ask).await.unwrap().into_inner();
    let chain = issued.chain.into_iter().map(CertificateDer::from).collect();
    let config = identity::gateway_server_config(chain, &key, vec![b"http/1.1".to_vec()]).unwrap();
    // A gateway that answers the probe it was told of on any path, as none should.
    let tasks = mesh.tasks.clone();
    mesh.tasks.spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        while let Ok((stream, _)) = listener.accept().await {
            let handshake = acceptor.accept(stream);
            tasks.spawn(async move {
                let Ok(stream) = handshake.await else { return };
                let answer = hyper::service::service_fn(|request: http::Request<_>| async move {
                    let told = request.headers().get("ward-probe").is_some_and(|nonce| nonce.len() == 32);
                    let _: hyper::body::Incoming = request.into_body();
                    let answer = http::Response::builder().status(if told { 204 } else { 200 });
                    let answer = answer.header("ward-probe-result", "passed");
                    answer.body(http_body_util::Full::new(bytes::Bytes::new()))
                });
                let served = hyper::server::conn::http1::Builder::new();
                let _ = served.serve_connection(hyper_util::rt::TokioIo::new(stream), answer).await;
            });
        }
    });
    let id = run::start(mesh.plane(), "test").await.unwrap();
    let plane = mesh.plane().clone();
    crate::testkit::until(|| plane.verifier.progress().is_none()).await;
    let row = plane.store.verify(&id).await.unwrap().unwrap();
    let lines: Vec<Line> = serde_json::from_str(&row.results).unwrap();
    let of: Vec<_> = lines
        .iter()
        .filter(|l| l.flow.as_deref() == Some("checkout"))
        .map(|l| format!("{:?} {:?} {} {:?}", l.variant, l.verdict, l.status, l.outcome))
        .collect();
    assert!(of.iter().any(|l| l == "Flow Ok 204 \"passed\""), "{of:?}");
    assert!(of.iter().all(|l| !l.starts_with("Flow ") || l == "Flow Ok 204 \"passed\""), "{of:?}");
    assert_eq!(of[of.len() - 2..], ["WrongRequest Violated 204 \"passed\"", "Plaintext Ok 0 \"blocked\""]);
}
