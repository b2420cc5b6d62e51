//! What must be refused, and why, in real handshakes: each bad identity once as a client and once as a server.
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    OtherNameValue, SanType,
};
use rustls::pki_types::CertificateDer;

use crate::{
    ClientOptions, PrivateKey, RefusalCode, ServerOptions, anonymous_client_config, client_config,
    fixture::{Ca, FixedTime, Side, at, handshake, id, self_signed_leaf, unchecked, uri},
    refusal, server_config,
};

const GOOD: &str = "spiffe://shop.example/ns/shop/sa/orders";
const PEER: &str = "spiffe://shop.example/ns/shop/sa/gateway";

fn options() -> ServerOptions {
    ServerOptions { time: Some(Arc::new(FixedTime)), ..ServerOptions::default() }
}

/// The reason each side gives, `accepted` when it does not refuse: first the server that sees the identity as a client's,
/// then the client that sees it as a server's.
fn verdicts(root: &Ca, chain: Vec<CertificateDer<'static>>, key: PrivateKey) -> [String; 2] {
    let bundle = root.bundle();
    let peer = root.svid(PEER);
    let suspect = unchecked(chain, key);
    let as_client = handshake(
        &client_config(&suspect, &bundle, &peer.id, &options()).unwrap(),
        &server_config(&peer, &bundle, &options()).unwrap(),
    );
    let as_server = handshake(
        &client_config(&peer, &bundle, &id(GOOD), &options()).unwrap(),
        &server_config(&suspect, &bundle, &options()).unwrap(),
    );
    [(Side::Server, as_client), (Side::Client, as_server)].map(|(judge, result)| match result {
        Ok(_) => "accepted".to_owned(),
        Err((side, error)) => {
            assert_eq!(side, judge, "{error}");
            let (code, reason) = refusal(&error);
            reason.map_or(code.as_str().to_owned(), |reason| format!("{}: {reason}", code.as_str()))
        }
    })
}

fn check_leaf(change: impl FnOnce(&mut CertificateParams), expected: &str) {
    let root = Ca::root("root");
    let (leaf, key) = root.leaf(change);
    assert_eq!(verdicts(&root, vec![leaf], key), [expected, expected]);
}

#[test]
fn a_right_svid_is_accepted_on_both_sides() {
    check_leaf(|_| {}, "accepted");
    check_leaf(|p| p.extended_key_usages.clear(), "accepted");
    // X509-SVID §2 allows other kinds of names beside the one URI.
    check_leaf(|p| p.subject_alt_names.push(SanType::DnsName("orders".try_into().unwrap())), "accepted");
}

#[test]
fn validity() {
    check_leaf(|p| p.not_after = at(-1), "expired");
    check_leaf(|p| p.not_after = at(0), "accepted");
    check_leaf(|p| p.not_before = at(1), "not-yet-valid");
    check_leaf(|p| p.not_before = at(0), "accepted");
}

#[test]
fn names() {
    let none = "not-an-svid: certificate has 0 URI names, expected exactly 1";
    check_leaf(|p| p.subject_alt_names.clear(), none);
    check_leaf(|p| p.subject_alt_names = vec![SanType::DnsName("orders.shop.example".try_into().unwrap())], none);
    check_leaf(
        |p| p.subject_alt_names.push(uri("spiffe://shop.example/ns/shop/sa/admin")),
        "not-an-svid: certificate has 2 URI names, expected exactly 1",
    );
    check_leaf(
        |p| p.subject_alt_names.push(uri("https://shop.example/")),
        "not-an-svid: certificate has 2 URI names, expected exactly 1",
    );
    let other =
        SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], OtherNameValue::Utf8String(GOOD.to_owned())));
    check_leaf(|p| p.subject_alt_names = vec![other], none);
    for not_spiffe in [
        "spiffe://shop.example/ns/shop/sa/orders\0.evil",
        "spiffe://shop.example\0.evil/ns/shop/sa/orders",
        "spiffe://shop.example/ns/shop/sa/orders%00",
        "spiffe://shop.example/ns/shop/sa/../orders",
        "spiffe://shop.example/ns/shop/sa/orders/",
        "spiffe://shop.example/ns/shop/sa/orders?x=1",
        "spiffe://shop.example:443/ns/shop/sa/orders",
        "SPIFFE://shop.example/ns/shop/sa/orders",
        "spiffe://Shop.example/ns/shop/sa/orders",
        "https://shop.example/ns/shop/sa/orders",
        "spiffe://shop.example",
        "spiffe://shop.example/",
        "",
    ] {
        check_leaf(|p| p.subject_alt_names = vec![uri(not_spiffe)], "not-an-svid: the URI name is not a SPIFFE ID");
    }
}

#[test]
fn usages() {
    check_leaf(|p| p.key_usages.clear(), "not-an-svid: key usage is missing");
    check_leaf(|p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement], "not-an-svid: key usage lacks digitalSignature");
    for signs in [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign] {
        check_leaf(|p| p.key_usages.push(signs), "not-an-svid: key usage has keyCertSign or cRLSign");
    }
    check_leaf(
        |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        "not-an-svid: certificate of a certificate authority presented as a workload's",
    );
    let half = "not-an-svid: extended key usage is present without both server and client authentication";
    for (usage, expected) in [
        // Path validation already refuses the half that the role needs, the SVID rules the other half.
        (ExtendedKeyUsagePurpose::ServerAuth, ["untrusted: no valid path to a trusted root", half]),
        (ExtendedKeyUsagePurpose::ClientAuth, [half, "untrusted: no valid path to a trusted root"]),
    ] {
        let root = Ca::root("root");
        let (leaf, key) = root.leaf(|p| p.extended_key_usages = vec![usage]);
        assert_eq!(verdicts(&root, vec![leaf], key), expected);
    }
}

#[test]
fn extensions() {
    let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    unknown.set_criticality(true);
    check_leaf(|p| p.custom_extensions = vec![unknown], "untrusted: no valid path to a trusted root");
    // A second subjectAltName extension: one reader may take the first, another the last.
    let second = CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0x04, 0x86, 0x02, b'a', b':']);
    check_leaf(|p| p.custom_extensions = vec![second], "untrusted: no valid path to a trusted root");
}

#[test]
fn trust() {
    let root = Ca::root("root");
    let (leaf, key) = Ca::root("root").leaf(|_| {});
    let refused = "untrusted: no valid path to a trusted root";
    assert_eq!(verdicts(&root, vec![leaf], key), [refused, refused], "foreign root of the same name");
    let (leaf, key) = self_signed_leaf();
    assert_eq!(verdicts(&root, vec![leaf], key), ["untrusted", "untrusted"], "self-signed");
    let foreign = Ca::root("foreign");
    let (leaf, key) = foreign.leaf(|_| {});
    assert_eq!(verdicts(&root, vec![leaf, foreign.der.clone()], key), ["untrusted", "untrusted"], "brings its root");
    // Our root signed it, but another domain's identity is not ours to vouch for.
    let elsewhere = "spiffe://partner.example/ns/shop/sa/orders";
    let (leaf, key) = root.leaf(|p| p.subject_alt_names = vec![uri(elsewhere)]);
    let [as_client, as_server] = verdicts(&root, vec![leaf], key);
    assert_eq!(as_client, format!("wrong-trust-domain: `{elsewhere}` is outside trust domain `shop.example`"));
    assert_eq!(as_server, format!("wrong-peer: peer is `{elsewhere}`, expected `{GOOD}`"));
}

#[test]
fn chains() {
    let root = Ca::root("root");
    let sub = root.intermediate(|_| {});
    let (leaf, key) = sub.leaf(|_| {});
    assert_eq!(verdicts(&root, vec![leaf, sub.der.clone()], key), ["accepted", "accepted"]);
    let (leaf, key) = sub.leaf(|_| {});
    assert_eq!(verdicts(&root, vec![leaf], key), ["untrusted", "untrusted"], "intermediate left out");
    let old = root.intermediate(|p| p.not_after = at(-1));
    let (leaf, key) = old.leaf(|_| {});
    assert_eq!(verdicts(&root, vec![leaf, old.der.clone()], key), ["expired", "expired"], "expired intermediate");
    // A workload cannot sign another one, although its own path is right.
    let workload = root.intermediate(|p| p.is_ca = IsCa::ExplicitNoCa);
    let (leaf, key) = workload.leaf(|_| {});
    let refused = "untrusted: no valid path to a trusted root";
    assert_eq!(verdicts(&root, vec![leaf, workload.der.clone()], key), [refused, refused]);
    let short = root.intermediate(|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let deep = short.intermediate(|_| {});
    let (leaf, key) = deep.leaf(|_| {});
    assert_eq!(verdicts(&root, vec![leaf, deep.der.clone(), short.der.clone()], key), [refused, refused], "pathlen");
    let (leaf, key) = root.leaf(|_| {});
    let long = std::iter::once(leaf).chain(std::iter::repeat_n(sub.der.clone(), 8)).collect();
    let refused = "not-an-svid: 9 certificates were presented, at most 8 are read";
    assert_eq!(verdicts(&root, long, key), [refused, refused]);
}

#[test]
fn an_expired_root_is_no_root() {
    let root = Ca::root_with("root", |p| p.not_after = at(-1));
    let (leaf, key) = root.leaf(|_| {});
    // The judge's own certificate is of the same root, so only its verdict counts here, not the other side's.
    let bundle = root.bundle();
    let refused = handshake(
        &client_config(&root.svid(PEER), &bundle, &id(GOOD), &options()).unwrap(),
        &server_config(&unchecked(vec![leaf], key), &bundle, &options()).unwrap(),
    );
    let (side, error) = refused.map(|_| ()).unwrap_err();
    assert_eq!((side, refusal(&error).0), (Side::Client, RefusalCode::Untrusted));
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let root = Ca::root("root");
    let (bundle, server) = (root.bundle(), root.svid(GOOD));
    let refused = handshake(
        &anonymous_client_config(&bundle, &server.id, &ClientOptions { time: options().time, ..Default::default() })
            .unwrap(),
        &server_config(&server, &bundle, &options()).unwrap(),
    );
    let (side, error) = refused.map(|_| ()).unwrap_err();
    assert_eq!((side, refusal(&error).0), (Side::Server, RefusalCode::NoCertificate));
}

#[test]
fn the_expected_peer_and_no_other() {
    let root = Ca::root("root");
    let (bundle, server, client) = (root.bundle(), root.svid(GOOD), root.svid(PEER));
    let refused = handshake(
        &client_config(&client, &bundle, &id("spiffe://shop.example/ns/shop/sa/payments"), &options()).unwrap(),
        &server_config(&server, &bundle, &options()).unwrap(),
    );
    let (side, error) = refused.map(|_| ()).unwrap_err();
    assert_eq!((side, refusal(&error).0), (Side::Client, RefusalCode::WrongPeer));
}
