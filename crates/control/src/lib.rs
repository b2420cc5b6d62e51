//! The control plane: certificate authority, configuration distribution, API, store. `ward-control` is this crate with a
//! `main`. It holds the CA's key and every secret of the mesh's state; nothing in the data path waits for it.
pub mod ads;
pub mod api;
pub mod config;
pub mod envoy;
pub mod identity_service;
pub mod issuer;
pub mod jwks;
pub mod listen;
pub mod plane;
pub mod registry;
pub mod report;
pub mod server;
pub mod snapshot;
pub mod store;
#[cfg(test)]
mod testkit;
pub mod verify;

pub use config::Config;
pub use plane::Plane;
pub use server::{Running, StartError, start};
