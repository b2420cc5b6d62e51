//! The signals that ask a program to stop.
use tokio::signal::unix::{SignalKind, signal};

/// Completes at the first SIGTERM or SIGINT and says which.
pub async fn terminated() -> std::io::Result<&'static str> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    })
}
