//! Who may connect to whom, at the handshake.
use std::sync::Arc;

use rustls::{ClientConfig, NamedGroup};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    app,
    mesh::{Mesh, PATIENCE, Pair, id, status, upstream},
};

async fn connect(pair: &Pair, config: Arc<ClientConfig>, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(pair.orders.inbound()).await?;
    TlsConnector::from(config).connect(name.to_owned().try_into().unwrap(), tcp).await
}

/// Whether a request over this connection is answered at all. In TLS 1.3 a client learns of a refused certificate only
/// when it reads.
async fn is_served(tls: std::io::Result<TlsStream<TcpStream>>) -> bool {
    let Ok(mut tls) = tls else { return false };
    let _ = tls.write_all(b"GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, tls.read_to_end(&mut answer)).await.expect("an end in time");
    answer.starts_with(b"HTTP/1.1 200")
}

const NAME: &str = "8080.orders.shop.test.example";

#[tokio::test]
async fn the_key_exchange_is_hybrid_post_quantum() {
    let mesh = Mesh::new();
    let pair = Pair::new(&mesh, app::echo().await);
    let tls = connect(&pair, mesh.client("web", "orders", "http/1.1"), NAME).await.unwrap();
    let group = tls.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert!(is_served(Ok(tls)).await);
}

#[tokio::test]
async fn only_members_with_a_valid_certificate_are_served() {
    let mesh = Mesh::new();
    let pair = Pair::new(&mesh, app::echo().await);
    let good = mesh.client("web", "orders", "http/1.1");
    assert!(is_served(connect(&pair, good.clone(), NAME).await).await);
    let options = || identity::ClientOptions { alpn: vec![b"http/1.1".to_vec()], ..Default::default() };
    let anonymous = identity::anonymous_client_config(&mesh.bundle(), &id("orders"), &options()).unwrap();
    assert!(!is_served(connect(&pair, anonymous, NAME).await).await, "no certificate");
    let foreign = identity::client_config(&Mesh::new().svid("web"), &mesh.bundle(), &id("orders"), &options()).unwrap();
    assert!(!is_served(connect(&pair, foreign, NAME).await).await, "another authority");
    let expired = mesh.expired_svid("web");
    let expired = identity::client_config(&expired, &mesh.bundle(), &id("orders"), &options()).unwrap();
    assert!(!is_served(connect(&pair, expired, NAME).await).await, "expired");
    for name in
        ["9090.orders.shop.test.example", "8080.payments.shop.test.example", "orders", "8080.orders.shop.other.example"]
    {
        assert!(!is_served(connect(&pair, good.clone(), name).await).await, "{name}");
    }
}

#[tokio::test]
async fn a_server_with_another_identity_is_not_believed() {
    let mesh = Mesh::new();
    let mut pair = Pair::new(&mesh, app::echo().await);
    let request = "GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&pair.raw(request).await), 200);
    // The endpoint proves to be `orders`; `payments` is expected there.
    let endpoint = pair.orders.inbound();
    pair.web
        .apply(|r| {
            let mut wrong = upstream("orders", 8080, "http", &[endpoint]);
            wrong.spiffe_id = id("payments").to_string();
            r.upstreams = vec![wrong];
        })
        .unwrap();
    let answer = pair.raw(request).await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(!answer.contains("payments") && !answer.contains("spiffe"), "{answer}");
}

#[tokio::test]
async fn plaintext_on_the_mesh_port_is_refused() {
    let pair = Pair::new(&Mesh::new(), app::echo().await);
    let answer = crate::mesh::raw(pair.orders.inbound(), "GET / HTTP/1.1\r\nHost: orders\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
}

#[tokio::test]
async fn suites_and_groups_may_be_restricted() {
    let mesh = Mesh::new();
    let narrow = "tls: { cipher_suites: [TLS_AES_128_GCM_SHA256], groups: [x25519] }";
    let pair = Pair::with(&mesh, app::echo().await, "", narrow);
    let tls = connect(&pair, mesh.client("web", "orders", "http/1.1"), NAME).await.unwrap();
    assert_eq!(tls.get_ref().1.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519);
    assert_eq!(status(&pair.raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await), 200);
}
