//! What the configurations negotiate, and what they never do.
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore, crypto::aws_lc_rs, version};

use super::*;
use crate::{
    fixture::{Ca, FixedTime, Side, handshake, id},
    join_token::sha256,
    peer_id,
};

const ORDERS: &str = "spiffe://shop.example/ns/shop/sa/orders";
const GATEWAY: &str = "spiffe://shop.example/ns/shop/sa/gateway";

fn options() -> ServerOptions {
    ServerOptions { time: Some(Arc::new(FixedTime)), alpn: vec![b"h2".to_vec()], ..ServerOptions::default() }
}

#[test]
fn tls13_post_quantum_and_no_resumption() {
    let root = Ca::root("root");
    let (bundle, orders, gateway) = (root.bundle(), root.svid(ORDERS), root.svid(GATEWAY));
    let client = client_config(&gateway, &bundle, &orders.id, &options()).unwrap();
    let server = server_config(&orders, &bundle, &options()).unwrap();
    // The second time nothing of the first may be taken up again.
    for _ in 0..2 {
        let (client, server) = handshake(&client, &server).unwrap();
        assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(client.tls13_tickets_received(), 0);
        assert_eq!(client.alpn_protocol(), Some(b"h2".as_slice()));
        assert_eq!(peer_id(client.peer_certificates().unwrap()).unwrap(), id(ORDERS));
        assert_eq!(peer_id(server.peer_certificates().unwrap()).unwrap(), id(GATEWAY));
    }
}

#[test]
fn a_tls12_peer_is_refused() {
    let root = Ca::root("root");
    let bundle = root.bundle();
    let old = ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(FixedTime))
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let server = server_config(&root.svid(ORDERS), &bundle, &options()).unwrap();
    assert_eq!(handshake(&Arc::new(old), &server).map(|_| ()).unwrap_err().0, Side::Server);
}

#[test]
fn options_restrict() {
    let root = Ca::root("root");
    let (bundle, orders, gateway) = (root.bundle(), root.svid(ORDERS), root.svid(GATEWAY));
    let only = |groups: &[Group], suites: &[CipherSuite]| ServerOptions {
        groups: groups.to_vec(),
        cipher_suites: suites.to_vec(),
        ..options()
    };
    let server = only(&[Group::X25519MlKem768], &[CipherSuite::Aes256GcmSha384]);
    let server = server_config(&orders, &bundle, &server).unwrap();
    let client = client_config(&gateway, &bundle, &orders.id, &options()).unwrap();
    let (connection, _) = handshake(&client, &server).unwrap();
    let suite = connection.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_256_GCM_SHA384);
    for client in [only(&[Group::X25519], &[]), only(&[], &[CipherSuite::Chacha20Poly1305Sha256])] {
        let client = client_config(&gateway, &bundle, &orders.id, &client).unwrap();
        assert!(handshake(&client, &server).is_err());
    }
}

#[test]
fn the_own_svid_must_belong_to_the_bundle() {
    let root = Ca::root("root");
    let elsewhere = Bundle::from_der("partner.example".parse().unwrap(), vec![root.der.clone()]).unwrap();
    let svid = root.svid(ORDERS);
    assert!(matches!(server_config(&svid, &elsewhere, &options()), Err(TlsError::Svid(_))));
    assert!(matches!(client_config(&svid, &elsewhere, &svid.id, &options()), Err(TlsError::Svid(_))));
}

#[test]
fn joining_trusts_the_pinned_root_and_the_control_plane_only() {
    let root = Ca::root("root");
    let bundle = root.bundle();
    let join = |server: &str, pin: [u8; 32]| {
        let server = server_config_optional_client(&root.svid(server), &bundle, &options()).unwrap();
        handshake(&pinned_client_config(pin, &options()).unwrap(), &server).map(|(client, _)| client)
    };
    let control = "spiffe://shop.example/ns/ward-system/sa/ward-control";
    let pin = sha256(&root.der);
    let connection = join(control, pin).unwrap();
    assert_eq!(peer_id(connection.peer_certificates().unwrap()).unwrap(), id(control));
    assert_eq!(join(control, sha256(b"another root")).map(|_| ()).unwrap_err().0, Side::Client);
    assert_eq!(join(ORDERS, pin).map(|_| ()).unwrap_err().0, Side::Client);
    // The root lies beside the chain, but did not sign it.
    let foreign = Ca::root("root");
    let foreign_svid = foreign.svid(control);
    let server = server_config_optional_client(&foreign_svid, &bundle, &options()).unwrap();
    let client = pinned_client_config(pin, &options()).unwrap();
    assert_eq!(handshake(&client, &server).map(|_| ()).unwrap_err().0, Side::Client);
}

#[test]
fn an_optional_certificate_must_still_be_right() {
    let root = Ca::root("root");
    let bundle = root.bundle();
    let control = root.svid("spiffe://shop.example/ns/ward-system/sa/ward-control");
    let server = server_config_optional_client(&control, &bundle, &options()).unwrap();
    let client = |svid: &Svid| client_config(svid, &bundle, &control.id, &options()).unwrap();
    let (_, connection) = handshake(&client(&root.svid(ORDERS)), &server).unwrap();
    assert_eq!(peer_id(connection.peer_certificates().unwrap()).unwrap(), id(ORDERS));
    let foreign = Ca::root("root").svid(ORDERS);
    assert_eq!(handshake(&client(&foreign), &server).map(|_| ()).unwrap_err().0, Side::Server);
    let anonymous = anonymous_client_config(&bundle, &control.id, &options()).unwrap();
    let (_, connection) = handshake(&anonymous, &server).unwrap();
    assert!(connection.peer_certificates().is_none());
}

#[test]
fn a_gateway_serves_any_client_with_tls_12_and_13() {
    let root = Ca::root("root");
    let (leaf, key) = root.leaf(|p| {
        p.subject_alt_names = vec![rcgen::SanType::DnsName("8080.orders.shop.shop.example".try_into().unwrap())];
        p.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let server = gateway_server_config(vec![leaf.clone()], &key, vec![b"http/1.1".to_vec()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(root.der.clone()).unwrap();
    for wanted in [&version::TLS12, &version::TLS13] {
        let client = ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(FixedTime))
            .with_protocol_versions(&[wanted])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let (client, _) = handshake(&Arc::new(client), &server).unwrap();
        assert_eq!(client.protocol_version(), Some(wanted.version));
    }
    let (other_key, _) = crate::csr::new().unwrap();
    assert!(matches!(gateway_server_config(vec![leaf], &other_key, vec![]), Err(TlsError::Certificate(_))));
    assert!(matches!(gateway_server_config(vec![], &key, vec![]), Err(TlsError::NoCertificate)));
}

#[test]
fn suites_and_groups_are_read_by_their_iana_names() {
    for name in ["\"TLS_AES_128_GCM_SHA256\"", "\"TLS_AES_256_GCM_SHA384\"", "\"TLS_CHACHA20_POLY1305_SHA256\""] {
        assert_eq!(serde_json::to_string(&serde_json::from_str::<CipherSuite>(name).unwrap()).unwrap(), name);
    }
    for name in ["\"X25519MLKEM768\"", "\"SecP256r1MLKEM768\"", "\"x25519\"", "\"secp256r1\"", "\"secp384r1\""] {
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Group>(name).unwrap()).unwrap(), name);
    }
    assert!(serde_json::from_str::<CipherSuite>("\"TLS_RSA_WITH_RC4_128_SHA\"").is_err());
}
