//! Does what an attacker would, and what a declared flow would, and says what came of it. The outcome is evidence, so it
//! is only `passed`, `refused` or `blocked` when the destination itself has shown it; everything else is `failed`, which
//! proves nothing.
use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use daemon::{Clock, logs::chain};
use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use identity::{Bundle, ClientOptions, PrivateKey, Svid};
use model::SpiffeId;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use wire::v1::{Probe, ProbeResult};

use super::TlsTime;

/// Probes under way at once.
pub(super) const PROBES_AT_ONCE: usize = 16;
/// Time for a probe that names none, and its bounds.
const TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// In TLS 1.3 a client is through before the server has judged its certificate: how long to listen for the verdict before
/// speaking, so that it is not lost to a reset.
const VERDICT_WAIT: Duration = Duration::from_millis(200);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Marks a request as a probe; its value is the nonce.
const PROBE_HEADER: &str = "ward-probe";
/// The destination proxy's answer to a probe that its policy let through.
const RESULT_HEADER: &str = "ward-probe-result";

/// What a probe has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The destination's policy let it through.
    Passed(String),
    /// The policy said no; the decision's id.
    Refused(String),
    /// No connection, or TLS refused.
    Blocked(String),
}

/// It could not be made, or nothing can be concluded. Says why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inconclusive(String);

/// What came back.
struct Answer {
    status: u16,
    result: String,
    problem: bool,
    body: Vec<u8>,
}

/// Runs probes with our own identity.
pub(super) struct Prober {
    svid: Arc<Svid>,
    bundle: Bundle,
    clock: Clock,
}

impl Prober {
    pub(super) fn new(svid: Arc<Svid>, bundle: Bundle, clock: Clock) -> Self {
        Self { svid, bundle, clock }
    }

    /// Runs one probe within its time; always returns a result.
    pub(super) async fn run(&self, probe: Probe) -> ProbeResult {
        let limit = match probe.timeout_ms {
            0 => TIMEOUT,
            ms => Duration::from_millis(ms.into()).clamp(TIMEOUT_MIN, TIMEOUT_MAX),
        };
        let id = probe.id.clone();
        let result = if probe.kind == "app-port" {
            app_port(&probe, limit).await
        } else {
            match timeout(limit, self.attempt(&probe)).await {
                Ok(result) => result,
                Err(_) => Err(Inconclusive(format!("no answer within {} ms", limit.as_millis()))),
            }
        };
        result_of(id, result)
    }

    async fn attempt(&self, probe: &Probe) -> Result<Outcome, Inconclusive> {
        let alpn = alpn(&probe.protocol);
        match probe.kind.as_str() {
            "request" => {
                let config = self.own_config(probe, alpn)?;
                self.mesh(probe, config, false).await
            }
            "no-certificate" => {
                let config = identity::anonymous_client_config(&self.bundle, &expected(probe)?, &self.options(alpn));
                self.mesh(probe, config.map_err(|e| Inconclusive(chain(&e)))?, true).await
            }
            "credentials" => {
                let credentials = probe.chain.iter().map(|der| der.clone().into()).collect();
                let key = PrivateKey::from_pkcs8(probe.key.clone());
                let config = identity::client_config_presenting(
                    credentials,
                    &key,
                    &self.bundle,
                    &expected(probe)?,
                    &self.options(alpn),
                );
                self.mesh(probe, config.map_err(|e| Inconclusive(chain(&e)))?, true).await
            }
            "plaintext" => self.plaintext(probe, alpn).await,
            other => Err(Inconclusive(format!("unknown kind of probe `{other}`"))),
        }
    }

    fn options(&self, alpn: &[u8]) -> ClientOptions {
        ClientOptions {
            alpn: vec![alpn.to_vec()],
            time: Some(Arc::new(TlsTime(self.clock.clone()))),
            ..ClientOptions::default()
        }
    }

    fn own_config(&self, probe: &Probe, alpn: &[u8]) -> Result<Arc<ClientConfig>, Inconclusive> {
        identity::client_config(&self.svid, &self.bundle, &expected(probe)?, &self.options(alpn))
            .map_err(|e| Inconclusive(chain(&e)))
    }

    /// Over the mesh port. `suspect` credentials are expected to be refused by TLS.
    async fn mesh(&self, probe: &Probe, config: Arc<ClientConfig>, suspect: bool) -> Result<Outcome, Inconclusive> {
        let mut tls = match connect_tls(probe, config).await? {
            Ok(tls) => tls,
            Err(alert) => return Ok(Outcome::Blocked(alert)),
        };
        // From here on the peer has proven that it is the destination: if it hangs up, that is its answer.
        let http2 = alpn(&probe.protocol) == b"h2";
        if suspect
            && !http2
            && let Some(verdict) = verdict(&mut tls).await
        {
            return Ok(Outcome::Blocked(verdict));
        }
        let answer = if http2 { exchange_http2(tls, probe).await } else { exchange_http1(&mut tls, probe).await };
        match answer {
            Ok(answer) => judge(&answer),
            Err(Fault::Hangup(why)) if suspect => Ok(Outcome::Blocked(why)),
            Err(Fault::Hangup(why) | Fault::Other(why)) => Err(Inconclusive(why)),
        }
    }

    /// The same request without TLS. Only a destination that answers mutual TLS at the same time shows anything by its
    /// silence.
    async fn plaintext(&self, probe: &Probe, alpn: &[u8]) -> Result<Outcome, Inconclusive> {
        if let Err(alert) = connect_tls(probe, self.own_config(probe, alpn)?).await? {
            return Err(Inconclusive(format!("the destination refuses our own SVID: {alert}")));
        }
        let mut tcp = connect(probe).await?;
        match exchange_http1(&mut tcp, probe).await {
            Ok(answer) => match judge(&answer) {
                // Whoever answers at all speaks plaintext.
                Ok(Outcome::Refused(decision)) => Ok(Outcome::Refused(decision)),
                _ => Ok(Outcome::Passed(format!("answered {} in plaintext", answer.status))),
            },
            Err(Fault::Hangup(why)) => Ok(Outcome::Blocked(why)),
            Err(Fault::Other(why)) => Err(Inconclusive(why)),
        }
    }
}

fn result_of(id: String, result: Result<Outcome, Inconclusive>) -> ProbeResult {
    let (outcome, detail, decision) = match result {
        Ok(Outcome::Passed(detail)) => ("passed", detail, String::new()),
        Ok(Outcome::Refused(decision)) => ("refused", "the policy refused".to_owned(), decision),
        Ok(Outcome::Blocked(detail)) => ("blocked", detail, String::new()),
        Err(Inconclusive(detail)) => ("failed", detail, String::new()),
    };
    let status = match outcome {
        "passed" => 204,
        "refused" => 403,
        _ => 0,
    };
    ProbeResult { id, outcome: outcome.to_owned(), status, detail, decision }
}

/// Straight to the application, past its sidecar: a connection is a hole, everything else is what isolation is for.
async fn app_port(probe: &Probe, limit: Duration) -> Result<Outcome, Inconclusive> {
    let address = address(probe)?;
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(Outcome::Passed(format!("connected to {address}"))),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::TimedOut
            | io::ErrorKind::PermissionDenied => Ok(Outcome::Blocked(error.to_string())),
            _ => Err(Inconclusive(error.to_string())),
        },
        Err(_) => Ok(Outcome::Blocked(format!("filtered: no answer within {} ms", limit.as_millis()))),
    }
}

/// `http/1.1` where requests are carried as such, `h2` for gRPC and for opaque TCP (CONNECT).
fn alpn(protocol: &str) -> &'static [u8] {
    if protocol == "http" { b"http/1.1" } else { b"h2" }
}

fn address(probe: &Probe) -> Result<SocketAddr, Inconclusive> {
    probe.address.parse().map_err(|_| Inconclusive(format!("`{}` is not an `ip:port`", probe.address)))
}

fn expected(probe: &Probe) -> Result<SpiffeId, Inconclusive> {
    SpiffeId::try_from(probe.spiffe_id.clone()).map_err(|e| Inconclusive(e.to_string()))
}

/// `<node>.<namespace>:<port>`.
fn authority(probe: &Probe) -> Result<String, Inconclusive> {
    let id = expected(probe)?;
    let (namespace, node) =
        id.namespace_and_account().ok_or_else(|| Inconclusive(format!("`{id}` is not a node's identity")))?;
    Ok(format!("{node}.{namespace}:{}", probe.port))
}

async fn connect(probe: &Probe) -> Result<TcpStream, Inconclusive> {
    let address = address(probe)?;
    let tcp = TcpStream::connect(address).await;
    // A mesh port that is closed says that the destination is down, not that it is safe.
    tcp.map_err(|e| Inconclusive(format!("cannot connect to {address}: {e}")))
}

/// `Ok(Err(alert))` when the destination refused the handshake by an alert.
async fn connect_tls(
    probe: &Probe,
    config: Arc<ClientConfig>,
) -> Result<Result<TlsStream<TcpStream>, String>, Inconclusive> {
    let name = ServerName::try_from(probe.sni.clone())
        .map_err(|_| Inconclusive(format!("`{}` is not a server name", probe.sni)))?;
    let tcp = connect(probe).await?;
    match TlsConnector::from(config).connect(name, tcp).await {
        Ok(tls) => Ok(Ok(tls)),
        Err(error) => match alert(&error) {
            Some(alert) => Ok(Err(alert)),
            None => Err(Inconclusive(format!("TLS handshake failed: {error}"))),
        },
    }
}

/// The alert a peer sent, if that is what an error is about.
fn alert(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = inner
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .or_else(|| error.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = tls {
            return Some(format!("TLS alert {alert:?}"));
        }
        next = error.source();
    }
    None
}

/// Listens whether the server hangs up on our certificate.
async fn verdict(tls: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut byte = [0];
    match timeout(VERDICT_WAIT, tls.read(&mut byte)).await {
        Ok(Ok(0)) => Some("closed after the handshake".to_owned()),
        Ok(Err(error)) => Some(alert(&error).unwrap_or_else(|| format!("closed after the handshake: {error}"))),
        // A server that speaks first, or waits for us.
        Ok(Ok(_)) | Err(_) => None,
    }
}

/// Why there is no answer.
enum Fault {
    /// The peer hung up before one.
    Hangup(String),
    Other(String),
}

async fn exchange_http1<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S, probe: &Probe) -> Result<Answer, Fault> {
    let other = |why: &str| Fault::Other(why.to_owned());
    let host = authority(probe).map_err(|Inconclusive(why)| Fault::Other(why))?;
    let method = if probe.method.is_empty() { "GET" } else { &probe.method };
    let path = if probe.path.is_empty() { "/" } else { &probe.path };
    // What is written by hand must not be able to write a second request.
    if Method::from_bytes(method.as_bytes()).is_err()
        || !path.starts_with('/')
        || !path.bytes().all(|c| c.is_ascii_graphic())
        || http::HeaderValue::from_str(&probe.nonce).is_err()
    {
        return Err(other("the probe's method, path or nonce cannot stand in a request"));
    }
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: ward-probe\r\n{PROBE_HEADER}: {}\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n",
        probe.nonce
    );
    let hangup =
        |error: io::Error| Fault::Hangup(alert(&error).unwrap_or_else(|| format!("closed without an answer: {error}")));
    io.write_all(request.as_bytes()).await.map_err(hangup)?;
    io.flush().await.map_err(hangup)?;
    let mut read = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&read) {
            Ok(httparse::Status::Complete(head)) => {
                let body = read.get(head..).unwrap_or_default();
                let length = header(&response, "content-length").parse().unwrap_or(usize::MAX);
                if body.len() >= length.min(ANSWER_BYTES_MAX) || response.code == Some(204) {
                    return answer_of(&response, body).ok_or_else(|| other("the answer has no status"));
                }
            }
            Ok(httparse::Status::Partial) => {}
            // What a TLS server says to a client that speaks no TLS: an alert record, or nothing we know.
            Err(_) if read.first() == Some(&0x15) => return Err(Fault::Hangup("TLS alert".to_owned())),
            Err(_) => return Err(other("the answer is not HTTP")),
        }
        if read.len() > ANSWER_BYTES_MAX {
            return Err(other("the answer is too long"));
        }
        match io.read_buf(&mut read).await {
            Ok(0) => {
                let mut headers = [httparse::EMPTY_HEADER; 64];
                let mut response = httparse::Response::new(&mut headers);
                return match response.parse(&read) {
                    Ok(httparse::Status::Complete(head)) => {
                        let body = read.get(head..).unwrap_or_default();
                        answer_of(&response, body).ok_or_else(|| other("the answer has no status"))
                    }
                    _ => Err(Fault::Hangup("closed without an answer".to_owned())),
                };
            }
            Ok(_) => {}
            Err(error) => return Err(hangup(error)),
        }
    }
}

fn header<'a>(response: &'a httparse::Response<'_, '_>, name: &str) -> &'a str {
    let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
    found.and_then(|h| std::str::from_utf8(h.value).ok()).map_or("", str::trim)
}

fn answer_of(response: &httparse::Response<'_, '_>, body: &[u8]) -> Option<Answer> {
    Some(Answer {
        status: response.code?,
        result: header(response, RESULT_HEADER).to_owned(),
        problem: header(response, "content-type").starts_with("application/problem+json"),
        body: body.to_vec(),
    })
}

async fn exchange_http2(tls: TlsStream<TcpStream>, probe: &Probe) -> Result<Answer, Fault> {
    let other = |why: String| Fault::Other(why);
    let host = authority(probe).map_err(|Inconclusive(why)| Fault::Other(why))?;
    let request = Request::builder().header(PROBE_HEADER, &probe.nonce);
    let request = if probe.protocol == "grpc" {
        let path = if probe.path.is_empty() { "/" } else { &probe.path };
        let method = if probe.method.is_empty() { "POST" } else { &probe.method };
        request.method(method).uri(format!("https://{host}{path}"))
    } else {
        request.method(Method::CONNECT).uri(host)
    };
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| other(e.to_string()))?;
    let hangup = |error: hyper::Error| {
        Fault::Hangup(alert(&error).unwrap_or_else(|| format!("closed without an answer: {}", chain(&error))))
    };
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.map_err(hangup)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(hangup)?;
        let text =
            |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let (status, result) = (response.status(), text(RESULT_HEADER));
        let problem = text(CONTENT_TYPE.as_str()).starts_with("application/problem+json");
        // A tunnel has no body to wait for.
        let body = if status == StatusCode::FORBIDDEN {
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            body.map_err(|e| other(e.to_string()))?.to_bytes().to_vec()
        } else {
            Vec::new()
        };
        Ok(Answer { status: status.as_u16(), result, problem, body })
    };
    // The driver moves the bytes; when it ends first the connection is gone, and the exchange knows why.
    tokio::pin!(exchange, driver);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut driver => match ended {
            Err(error) => Err(hangup(error)),
            Ok(()) => exchange.await,
        },
    }
}

/// Passed and refused only by the marks that the destination's proxy makes; an application's answer proves neither.
fn judge(answer: &Answer) -> Result<Outcome, Inconclusive> {
    if answer.result == "passed" {
        return Ok(Outcome::Passed("the destination's policy let it through".to_owned()));
    }
    if answer.status == 403 && answer.problem {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        let decision = problem.as_ref().and_then(|p| p.get("decision")).and_then(serde_json::Value::as_str);
        if let Some(decision) = decision.filter(|d| !d.is_empty() && d.len() <= 64) {
            return Ok(Outcome::Refused(decision.to_owned()));
        }
    }
    Err(Inconclusive(format!("answered {} without a probe's mark", answer.status)))
}

#[cfg(test)]
mod tests;
