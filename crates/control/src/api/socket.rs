//! The Unix socket of the API: made with mode 0600 before anybody can see it, served with a bound on connections.
use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use daemon::Tasks;
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use tracing::{debug, warn};

use super::Operator;

/// Connections served at once; more wait in the accept queue.
pub const CONNECTIONS_MAX: usize = 64;
/// How long a client may take to send its request head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole connection may last.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("a control plane already serves {}: stop it, or choose another --socket", .0.display())]
    InUse(PathBuf),
    /// There is a file that is no socket.
    #[error("{} exists and is not a socket: choose another --socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {}", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A bound socket; its file goes when this does.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl Socket {
    /// Binds `path`, replacing a socket that nobody serves any more. Its directory is made (0700) when it is missing.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Bind { path: path.to_owned(), source };
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty() && !d.exists()) {
            fs::create_dir_all(dir).map_err(failed)?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(SocketError::InUse(path.to_owned()));
            }
            _ => {}
        }
        // Bound under another name, made private, then renamed: there is no moment at which others could connect, and the
        // name always leads to a served socket.
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside).map_err(failed)?;
        let renamed = fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&beside, path))
            .and_then(|()| fs::metadata(path));
        match renamed {
            Ok(made) => Ok(Self { listener, path: path.to_owned(), owner: made.uid() }),
            Err(source) => {
                let _ = fs::remove_file(&beside);
                Err(failed(source))
            }
        }
    }

    /// Serves `router` until the tasks drain.
    pub async fn serve(self, router: Router, tasks: Tasks) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let drain = tasks.drain().clone();
        loop {
            let slot = tokio::select! {
                slot = slots.clone().acquire_owned() => slot,
                () = drain.stopping() => return,
            };
            let Ok(slot) = slot else { return };
            let accepted = tokio::select! { a = self.listener.accept() => a, () = drain.stopping() => return };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept on the API socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let operator = match stream.peer_cred() {
                Ok(cred) if cred.uid() == 0 && cred.pid().is_some_and(is_contained) => {
                    warn!("closed: root without any capability is an application under Ward, not an operator");
                    continue;
                }
                Ok(cred) => Operator { uid: cred.uid(), owner: self.owner },
                Err(error) => {
                    warn!(%error, "the peer of the API socket is unknown");
                    continue;
                }
            };
            let (router, drain) = (router.clone(), drain.clone());
            tasks.spawn(async move {
                serve_one(stream, router, operator, &drain).await;
                drop(slot);
            });
        }
    }
}

/// Whether a process of root's was stripped of every capability that we have some of, as `ward up` does with the
/// applications that it runs as root: by its user id alone it would be an operator. What ended already counts as such.
fn is_contained(pid: i32) -> bool {
    // The kernel says 0 of a peer outside of our process numbers, and thus not started below us.
    let held = |process: &str| effective(&fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default());
    pid != 0 && held("self").is_some_and(|own| own != 0) && held(&pid.to_string()).unwrap_or_default() == 0
}

/// The effective capabilities in `/proc/<pid>/status`.
fn effective(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

async fn serve_one(stream: UnixStream, router: Router, operator: Operator, drain: &daemon::Drain) {
    let routes = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(operator);
        routes.call(request)
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = drain.stopping() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = tokio::time::sleep(CONNECTION_TIMEOUT) => return,
    };
    if let Err(error) = ended {
        debug!(%error, "API connection ended");
    }
}

#[cfg(test)]
mod tests;
