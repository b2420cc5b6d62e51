//! What a party may do at a gateway and what it could try, tried by the control plane itself: what is declared, a path
//! that nobody declared, and no TLS. The gateway answers a request with the announced nonce itself.
use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use model::Listen;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use wire::v1::ProbeResult;

use super::{Expect, Variant, plan::Case};
use crate::{
    issuer::TlsTime,
    plane::{Current, Plane},
    registry::Reach,
};

/// How long a whole attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Tries a case at the gateway; an error says why it proves nothing.
pub(super) async fn attempt(
    plane: &Plane,
    current: &Current,
    target: &Reach,
    case: &Case,
    nonce: &str,
) -> Result<ProbeResult, String> {
    let listens = current.model.nodes.get(case.to.as_str()).map(|n| n.listen.as_slice()).unwrap_or_default();
    let listen = listens.iter().find(|l| l.port == case.port).ok_or("the gateway does not listen there")?;
    let host = host_of(listen).ok_or("the listener has no host name that could be asked for")?;
    let tried = async {
        let (stream, address) = connect(target, case.port).await?;
        // Whoever else listens there has no certificate of ours for this host.
        let name = ServerName::try_from(host.clone()).map_err(|_| format!("`{host}` is not a host name"))?;
        let proven = TlsConnector::from(client(plane, current)?).connect(name, stream).await;
        let proven = proven.map_err(|e| format!("{address} is not the gateway's listener: {e}"))?;
        match case.variant {
            Variant::Plaintext => {
                drop(proven);
                plaintext(address, &host).await
            }
            _ => request(proven, &host, case, nonce).await,
        }
        .map_err(|why| format!("{address}: {why}"))
    };
    match timeout(TIMEOUT, tried).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

/// A gateway on this machine listens on its loopback address, another one where its instance is.
async fn connect(target: &Reach, port: u16) -> Result<(TcpStream, SocketAddr), String> {
    let near = (target.isolation == "host").then(|| SocketAddr::from(([127, 0, 0, 1], port)));
    let far = target.mesh_address.parse::<SocketAddr>().ok().map(|mesh| SocketAddr::new(mesh.ip(), port));
    for address in near.into_iter().chain(far) {
        if let Ok(stream) = TcpStream::connect(address).await {
            return Ok((stream, address));
        }
    }
    Err(format!("the control plane cannot reach the listener of `{}` on port {port}", target.instance))
}

/// Any host of the listener; of a wildcard one that it covers.
fn host_of(listen: &Listen) -> Option<String> {
    let host = listen.hosts.first()?;
    Some(host.strip_prefix("*.").map_or_else(|| host.clone(), |parent| format!("ward-probe.{parent}")))
}

async fn plaintext(address: SocketAddr, host: &str) -> Result<ProbeResult, String> {
    let mut stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let mut answer = [0; 7];
    let answered = match stream.write_all(request.as_bytes()).await {
        Ok(()) => stream.read_exact(&mut answer).await.is_ok(),
        Err(_) => false,
    };
    // A TLS alert is an answer as well, but not one to the request.
    let outcome = if answered && answer == *b"HTTP/1." { "passed" } else { "blocked" };
    Ok(ProbeResult { outcome: outcome.to_owned(), ..ProbeResult::default() })
}

async fn request(stream: TlsStream<TcpStream>, host: &str, case: &Case, nonce: &str) -> Result<ProbeResult, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let request = Request::builder()
        .method(case.method.as_str())
        .uri(&case.path)
        .header(header::HOST, host)
        .header("ward-probe", nonce)
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    let exchange = async move { sender.send_request(request).await.map(|response| response.into_parts().0) };
    let answer = tokio::select! {
        answer = exchange => answer.map_err(|e| e.to_string())?,
        ended = connection => return Err(ended.err().map_or_else(|| "closed".to_owned(), |e| e.to_string())),
    };
    let answered_itself = answer.headers.get("ward-probe-result").is_some_and(|v| v == "passed");
    let status = answer.status;
    let outcome = match status {
        // Anything else that looks like success came from behind the gateway: it let a probe through.
        StatusCode::NO_CONTENT if answered_itself => "passed",
        _ if status.is_success() && case.expect == Expect::Pass => {
            return Err(format!("it answers {status} and not as a proxy answers a probe, which proves nothing"));
        }
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::MISDIRECTED_REQUEST => "refused",
        status if status.is_server_error() => return Err(format!("it answers {status}, which proves nothing")),
        _ => "passed",
    };
    Ok(ProbeResult { outcome: outcome.to_owned(), status: u32::from(status.as_u16()), ..ProbeResult::default() })
}

fn client(plane: &Plane, current: &Current) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for root in current.issuer.roots() {
        roots.add(CertificateDer::from(root)).map_err(|e| e.to_string())?;
    }
    let time = Arc::new(TlsTime(plane.clock.clone()));
    let config = ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), time)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
