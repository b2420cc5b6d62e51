//! What the subcommands that speak to a control plane share: which socket, and a runtime to wait on.
use std::{future::Future, path::PathBuf};

use anyhow::Context as _;

use crate::api_client::{self, ApiClient};

/// Which control plane; flatten it into a subcommand's `Args`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Control {
    /// The control plane's socket [default: /run/ward/control.sock as root, else $XDG_RUNTIME_DIR/ward/control.sock]
    #[arg(long, value_name = "PATH", env = "WARD_SOCKET")]
    socket: Option<PathBuf>,
}

impl Control {
    /// Runs a conversation with the control plane to its end.
    ///
    /// # Errors
    /// What the conversation says, or that there is no runtime.
    pub(crate) fn talk<T, F>(self, conversation: impl FnOnce(ApiClient) -> F) -> anyhow::Result<T>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let client = ApiClient::connect(&api_client::socket(self.socket))?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
        runtime.block_on(conversation(client))
    }
}

/// `2 min ago`, for a moment in milliseconds since the Unix epoch.
pub(crate) fn ago(then_ms: Option<i64>, now_ms: i64) -> String {
    let Some(then_ms) = then_ms.filter(|t| *t > 0) else { return "-".to_owned() };
    match (now_ms - then_ms).max(0) / 1000 {
        s @ 0..=59 => format!("{s} s ago"),
        s @ 60..=3_599 => format!("{} min ago", s / 60),
        s @ 3_600..=86_399 => format!("{} h ago", s / 3_600),
        s => format!("{} d ago", s / 86_400),
    }
}

/// `in 58 min`, for a moment in seconds since the Unix epoch.
pub(crate) fn until(then_s: i64, now_ms: i64) -> String {
    if then_s <= 0 {
        return "-".to_owned();
    }
    match then_s - now_ms / 1000 {
        s @ ..=0 => format!("expired {} s ago", -s),
        s @ 1..=119 => format!("in {s} s"),
        s @ 120..=7_199 => format!("in {} min", s / 60),
        s => format!("in {} h", s / 3_600),
    }
}

/// Now, milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(crate::clock::Clock::unix().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
