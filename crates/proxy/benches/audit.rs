//! What a request of a critical flow costs beside an ordinary one: two sidecars in this process, real TLS, a real spool on
//! the disk of the temporary directory (`TMPDIR`), many connections at once. Prints requests a second and their ratio.
//!
//! `cargo bench -p proxy --bench audit`
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "nothing here ships"
)]
#[path = "../tests/path/app.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod app;
#[path = "../tests/path/mesh.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod mesh;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use mesh::{Mesh, allow, service, upstream};

/// How long each number is measured.
const ROUND: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = Mesh::new();
    let app = app::script(|mut stream| async move {
        while app::head(&mut stream).await.is_some() {
            app::say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let path = |path: &str| serde_json::json!({ "methods": ["GET"], "paths": [path] });
    let orders = mesh.sidecar(
        "orders",
        &format!("audit_dir: {}/audit\n", folder.path().display()),
        vec![service(8080, "http", app)],
        Vec::new(),
        vec![
            allow("orders", "read", "web", "medium", &path("/medium")),
            allow("orders", "charge", "web", "critical", &path("/critical")),
        ],
    );
    let web =
        mesh.sidecar("web", "", Vec::new(), vec![upstream("orders", 8080, "http", &[orders.inbound()])], Vec::new());
    let address = web.outbound("orders:8080");
    let audit = orders.proxy.audit().unwrap();
    // Nobody ships here: what is on disk counts as taken.
    let taken = audit.clone();
    daemon::Tasks::new().spawn(async move {
        let mut committed = taken.subscribe();
        while committed.changed().await.is_ok() {
            taken.acknowledge(u64::MAX);
        }
    });
    println!("| at once | medium, requests/s | critical, requests/s | ratio | records a commit |");
    println!("|---|---|---|---|---|");
    for connections in [1, 16, 64] {
        let medium = rate(address, "/medium", connections).await;
        let before = audit.status().commits;
        let critical = rate(address, "/critical", connections).await;
        let commits = audit.status().commits - before;
        // Each request has two: the decision, and what became of it.
        let group = 2.0 * critical * ROUND.as_secs_f64() / commits as f64;
        println!("| {connections} | {medium:.0} | {critical:.0} | {:.2} | {group:.1} |", critical / medium);
    }
}

/// Requests a second over so many connections, each with one request at a time.
async fn rate(address: SocketAddr, path: &'static str, connections: usize) -> f64 {
    let started = daemon::instant();
    let each = (0..connections).map(|_| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: orders\r\n\r\n");
        let mut buffer = [0; 4096];
        let mut count = 0u32;
        while started.elapsed() < ROUND {
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut read = 0;
            while !buffer[..read].ends_with(b"\r\n\r\nok") {
                let more = stream.read(&mut buffer[read..]).await.unwrap();
                assert!(more > 0, "closed: {}", String::from_utf8_lossy(&buffer[..read]));
                read += more;
            }
            assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..read]));
            count += 1;
        }
        count
    });
    let counts = futures_util::future::join_all(each).await;
    f64::from(counts.iter().sum::<u32>()) / started.elapsed().as_secs_f64()
}
