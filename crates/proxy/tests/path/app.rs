//! Applications: one that echoes what it got, and ones that follow a script.
use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Answers 200 with the request head as lines, a blank line, and the request body; `/status/N` answers N; with trailers
/// if the request had some.
pub async fn echo() -> SocketAddr {
    serve(false).await
}

/// The same over HTTP/2 with prior knowledge.
pub async fn echo_http2() -> SocketAddr {
    serve(true).await
}

async fn serve(http2: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let io = TokioIo::new(stream);
                let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request)) });
                if http2 {
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                }
            });
        }
    });
    address
}

fn answer(request: Request<Incoming>) -> Response<BoxBody<Bytes, hyper::Error>> {
    let (parts, incoming) = request.into_parts();
    let mut head = format!("{} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        head.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    head.push('\n');
    let status = parts.uri.path().strip_prefix("/status/").and_then(|s| s.parse().ok());
    let first = futures_util::stream::once(async move { Ok(Frame::data(Bytes::from(head))) });
    let rest = futures_util::stream::unfold(incoming, |mut incoming| async move {
        incoming.frame().await.map(|frame| (frame, incoming))
    });
    let body = StreamBody::new(futures_util::StreamExt::chain(first, rest));
    let mut response = Response::new(BodyExt::boxed(body));
    *response.status_mut() = status.map_or(StatusCode::OK, |s: u16| StatusCode::from_u16(s).unwrap());
    response.headers_mut().insert("server", "echo".parse().unwrap());
    response
}

/// Every connection is handled by `script`.
pub async fn script<F, R>(script: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(script(stream));
        }
    });
    address
}

/// Reads a request head (no body).
pub async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return None;
        }
        text.push(byte[0]);
    }
    Some(String::from_utf8(text).unwrap())
}

/// Writes text.
pub async fn say(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes()).await;
}
