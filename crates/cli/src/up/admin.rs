//! Asks a sidecar's admin port: whether it is ready, and what its configuration is.
use std::{io, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::environment::SidecarConfig;
use crate::isolation::{Place, netns};

/// Longest a question may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Largest answer read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// True once the sidecar holds an SVID and has acked a configuration; false also while nobody listens.
pub(crate) async fn is_ready(place: &Place) -> bool {
    get(place, "/ready").await.is_ok_and(|(status, _)| status == http::StatusCode::OK)
}

/// The sidecar's configuration.
///
/// # Errors
/// It does not answer, or not as expected.
pub(crate) async fn config(place: &Place) -> anyhow::Result<SidecarConfig> {
    let what = || format!("cannot read the configuration of the sidecar at {}", place.admin);
    let (status, body) = get(place, "/config").await.with_context(what)?;
    if status != http::StatusCode::OK {
        bail!("{}: it answered {status}", what());
    }
    serde_json::from_slice(&body).with_context(what)
}

async fn get(place: &Place, path: &str) -> anyhow::Result<(http::StatusCode, Bytes)> {
    let ask = async {
        let stream = connect(place).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request =
            http::Request::get(path).header(http::header::HOST, place.admin.to_string()).body(Empty::<Bytes>::new())?;
        // The sender goes with the exchange, and the connection ends with the sender.
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body =
                Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(io::Error::other)?;
            anyhow::Ok((status, body.to_bytes()))
        };
        let (answer, _) = tokio::join!(exchange, connection);
        answer
    };
    timeout(DEADLINE, ask).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

async fn connect(place: &Place) -> anyhow::Result<TcpStream> {
    match &place.netns {
        None => Ok(TcpStream::connect(place.admin).await?),
        Some(netns) => {
            let stream = netns::connect(netns, place.admin, DEADLINE).await?;
            stream.set_nonblocking(true)?;
            Ok(TcpStream::from_std(stream)?)
        }
    }
}
