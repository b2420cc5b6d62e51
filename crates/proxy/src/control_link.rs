//! The proxy's side of the control plane: identity (join, renew), configuration (delta ADS), observations (report), probes.
//!
//! It runs on a thread of its own, never on a worker, and talks to the data path only through the public [`Proxy`]. What
//! it holds survives in the state directory, so a restart needs neither a token nor, for a while, a control plane:
//! configuration fails static (the last acknowledged set goes on), authorisation fails closed (nobody accepts an SVID that
//! has expired).
//!
//! ```text
//! let mut link = control_link::start(proxy.clone())?;   // reads the `control` section of the proxy's settings
//! tokio::select! {
//!     error = link.failed() => …,                       // it can never join: say why and exit
//!     () = terminated => { proxy.shutdown().await; link.finish().await; }
//! }
//! ```
use std::{thread, time::Duration};

use daemon::Tasks;
use identity::{JoinToken, JoinTokenError};
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use tokio::sync::oneshot;

use crate::{Proxy, settings};

mod backoff;
mod credentials;
mod dial;
mod discovery;
mod kept;
mod probe;
mod runner;
mod session;
mod spool;

pub use credentials::{AnswerError, JoinError};
pub use dial::DialError;
pub use kept::KeptError;

/// How long the last report may take when the proxy ends.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);

/// The running link. Dropping it ends the thread without a last report.
pub struct Link {
    tasks: Tasks,
    failed: oneshot::Receiver<LinkError>,
    ended: oneshot::Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Why a proxy cannot become, or stay, a member of its mesh.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A static proxy has no link.
    #[error("the settings have no `control` section")]
    NoSection,
    /// The state directory.
    #[error("the state directory cannot be used")]
    Kept(#[source] KeptError),
    /// No identity is kept, and nothing proves the right to one.
    #[error(
        "no valid SVID is kept in {state_dir} and there is no join token: make one with `ward token create {node}` and \
         give it as `control.token_file`"
    )]
    NoToken {
        /// The state directory.
        state_dir: String,
        /// The node.
        node: String,
    },
    /// The token file.
    #[error("cannot read the join token file {path}")]
    TokenFile {
        /// Which.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The token.
    #[error("the join token cannot be used")]
    Token(#[source] JoinTokenError),
    /// The token is for another node.
    #[error("the join token is for node `{token}`, this proxy is node `{node}`")]
    TokenNode {
        /// Of the token.
        token: String,
        /// Of the settings.
        node: String,
    },
    /// The control plane will not have us, or is not the one the token was made for.
    #[error("cannot join at {address}")]
    Join {
        /// The control plane's address.
        address: String,
        /// Why.
        #[source]
        cause: Box<JoinError>,
    },
    /// No thread.
    #[error("cannot start the link's thread")]
    Thread(#[source] std::io::Error),
}

/// Starts the link of a proxy whose settings have a `control` section. Reads what is kept and the token, and applies the
/// last acknowledged configuration before it returns; everything else happens on its own thread.
pub fn start(proxy: Proxy) -> Result<Link, LinkError> {
    let control = proxy.settings().control.clone().ok_or(LinkError::NoSection)?;
    let token = read_token(&control)?;
    let tasks = Tasks::new();
    let runner = runner::Runner::new(proxy, control, token, tasks.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LinkError::Thread)?;
    let (failed_tx, failed) = oneshot::channel();
    let (ended_tx, ended) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("ward-control-link".to_owned())
        .spawn(move || {
            if let Err(error) = runtime.block_on(runner.run()) {
                let _ = failed_tx.send(error);
            }
            // What still runs here are connections that nobody reads any more.
            runtime.shutdown_background();
            let _ = ended_tx.send(());
        })
        .map_err(LinkError::Thread)?;
    Ok(Link { tasks, failed, ended, thread: Some(thread) })
}

impl LinkError {
    /// Whether waiting cannot help.
    fn is_final(&self) -> bool {
        match self {
            Self::Join { cause, .. } => cause.is_final(),
            _ => true,
        }
    }
}

impl Link {
    /// Completes when the link has given up for good: the token was refused, or the control plane is not the one that the
    /// token names. Never completes otherwise; an unreachable control plane is waited for.
    pub async fn failed(&mut self) -> LinkError {
        match (&mut self.failed).await {
            Ok(error) => error,
            // It ended because it was asked to.
            Err(_) => std::future::pending().await,
        }
    }

    /// Sends what is left to report, says goodbye and ends the thread; waits at most a few seconds.
    pub async fn finish(mut self) {
        self.tasks.drain().stop();
        if tokio::time::timeout(GOODBYE_TIMEOUT + Duration::from_secs(1), &mut self.ended).await.is_ok()
            && let Some(thread) = self.thread.take()
        {
            // It has sent its last word; joining it takes no time.
            let _ = thread.join();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.drain().stop();
    }
}

fn read_token(control: &settings::Control) -> Result<Option<JoinToken>, LinkError> {
    let text = match (&control.token, &control.token_file) {
        (Some(text), _) => text.clone(),
        // A token file may be removed once it has served.
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LinkError::TokenFile { path: path.display().to_string(), source }),
        },
        (None, None) => return Ok(None),
    };
    let token: JoinToken = text.parse().map_err(LinkError::Token)?;
    if token.node.as_str() != control.node {
        return Err(LinkError::TokenNode { token: token.node.to_string(), node: control.node.clone() });
    }
    Ok(Some(token))
}

/// The daemon's clock, as TLS asks for it.
#[derive(Debug)]
struct TlsTime(daemon::Clock);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.unix_seconds())))
    }
}

#[cfg(test)]
mod tests;
