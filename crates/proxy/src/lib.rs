//! The data plane: sidecar, gateway, egress. `ward-proxy` is this crate with a `main`.
//!
//! For whoever feeds it ([`control_link`] or the static file), the whole surface is [`Proxy`]:
//!
//! ```text
//! let proxy = Proxy::new(settings, clock, tasks)?;     // nothing runs yet
//! proxy.start()?;                                      // worker threads, waiting for a configuration
//! proxy.apply(&resources, &identity)?;                 // Ok(revision) = ack; Err(errors) = nack, the old one stays
//! proxy.decisions().take();                            // the one receiver of DecisionRecords (bounded)
//! proxy.flow_counts();                                 // increments since the last call
//! proxy.nonces().announce([(nonce, expiry_ms)], now);  // probes this proxy answers itself
//! proxy.is_ready();                                    // a configuration is in force and its SVID has not expired
//! proxy.shutdown().await;                              // stop accepting, finish, cut at the deadline
//! ```
//!
//! `apply` is also how an SVID is rotated: same resources, new [`snapshot::Identity`]. Requests in flight finish on
//! the connections they have; new connections use the new SVID. Connections that lost their right are closed.
//!
//! Inside, one single-threaded runtime per worker shares nothing with the others but an `ArcSwap` snapshot.
pub mod admin;
pub mod audit_spool;
pub mod control_link;
pub mod headers;
pub mod limits;
pub mod records;
pub mod settings;
pub mod snapshot;
pub mod tokens;

mod accept;
mod access_log;
mod account;
mod ask;
mod conn;
mod decision_id;
mod fault;
mod h1;
mod h2;
mod hbone;
mod listeners;
mod policy_check;
mod pool;
mod prefixed;
mod proxy;
mod session;
mod tally;
mod tunnel;
mod view;
mod watch;
mod worker;

pub use listeners::Kind;
pub use proxy::{Proxy, StartError};
pub use settings::Settings;
