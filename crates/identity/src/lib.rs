//! Who is the peer and who are we: SVID checks, bundles, CSRs, TLS configurations.
//!
//! Pure: no sockets, no files, no clock of its own. Whoever shakes hands brings the time (rustls does, from the
//! [`rustls::time_provider::TimeProvider`] of the configuration). Authorisation fails closed: a certificate about which
//! anything is unclear is refused.
mod bundle;
pub mod csr;
#[cfg(test)]
mod fixture;
mod join_token;
mod svid;
mod tls;
pub mod token;
mod verifier;

pub use bundle::{Bundle, BundleError};
pub use join_token::{JoinToken, JoinTokenError};
pub use svid::{BACKDATE, PrivateKey, Svid, SvidError, certificates_to_pem, peer, peer_id, peer_not_after};
pub use tls::{
    CONTROL_PLANE_ACCOUNT, CipherSuite, ClientOptions, Group, ServerOptions, TlsError, anonymous_client_config,
    client_config, client_config_presenting, gateway_server_config, pinned_client_config, server_config,
    server_config_optional_client,
};
pub use verifier::{RefusalCode, refusal};
