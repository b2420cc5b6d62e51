//! A running control plane: state directory, store, both doors, and the tasks behind them. Tests run it in their process.
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use daemon::{Clock, Tasks};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tracing::{info, warn};
use wire::{
    discovery::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer,
    v1::{identity_server::IdentityServer, report_server::ReportServer},
};

use crate::{
    ads::DiscoveryService,
    api::{
        self,
        socket::{Socket, SocketError},
    },
    config::Config,
    identity_service::IdentityService,
    listen,
    plane::{ApplyError, Plane},
    report::ReportService,
    store::{SqliteStore, Store, StoreError},
};

/// Largest message read from a proxy.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error("cannot use the state directory {}", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process holds it.
    #[error("another control plane runs on the state directory {}: stop it, or give this one its own --state", .0.display())]
    Locked(PathBuf),
    /// The store does not open.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// What is stored cannot be taken up.
    #[error("cannot take up the stored model")]
    Plane(#[from] ApplyError),
    /// The port for proxies cannot be bound.
    #[error("cannot listen on {address}: is another control plane running? choose another --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The API's socket cannot be bound.
    #[error("cannot open the API")]
    Socket(#[from] SocketError),
}

/// A control plane that runs. Dropping it leaves its tasks to `Tasks`.
pub struct Running {
    /// Its state.
    pub plane: Arc<Plane>,
    /// Where proxies connect: the port is known even if 0 was asked for.
    pub address: SocketAddr,
    // Held as long as the process uses the directory; the system lets go of it when the process dies, however it dies.
    _lock: fs::File,
}

/// Starts everything on the current runtime.
///
/// # Errors
/// Nothing keeps running after one.
pub async fn start(config: &Config, clock: Clock, tasks: &Tasks) -> Result<Running, StartError> {
    let lock = lock(&config.state)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.state.join("ward.db")).await?);
    let plane = Plane::open(store, &config.state, clock.clone(), tasks.clone()).await?;
    let bound = |source| StartError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(bound)?;
    let address = listener.local_addr().map_err(bound)?;
    let socket = Socket::bind(&config.socket)?;
    match plane.current() {
        Some(current) => info!(revision = current.revision, model = %current.model.name, "took up the stored model"),
        None => warn!("no model yet: proxies cannot join before the first `ward apply DIR`"),
    }
    let routes = Routes::new(IdentityServer::new(IdentityService { plane: plane.clone() }))
        .add_service(
            AggregatedDiscoveryServiceServer::new(DiscoveryService { plane: plane.clone() })
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            ReportServer::new(ReportService { plane: plane.clone() }).max_decoding_message_size(MESSAGE_BYTES_MAX),
        );
    tasks.spawn(listen::serve(listener, plane.watch_tls(), routes, clock, tasks.clone()));
    tasks.spawn(socket.serve(api::router(plane.clone()), tasks.clone()));
    tasks.spawn(plane.clone().follow_endpoints());
    tasks.spawn(plane.clone().follow_losses());
    tasks.spawn(plane.clone().follow_identity());
    tasks.spawn(plane.clone().follow_keys());
    info!(%address, socket = %config.socket.display(), state = %config.state.display(), "control plane serves");
    Ok(Running { plane, address, _lock: lock })
}

/// Makes the state directory (0700) and takes it for this process alone.
fn lock(state: &Path) -> Result<fs::File, StartError> {
    let failed = |source| StartError::State { path: state.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(failed)?;
    let file =
        fs::OpenOptions::new().create(true).truncate(false).write(true).open(state.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StartError::Locked(state.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}
