//! Everything Ward speaks over gRPC: generated types only. Clients and servers are in `proxy` and `control`.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::allow_attributes, reason = "generated")]

/// `envoy.service.discovery.v3`: the delta ADS stream.
pub mod discovery {
    tonic::include_proto!("envoy.service.discovery.v3");
}

/// `ward.v1`: identity and report services.
pub mod v1 {
    tonic::include_proto!("ward.v1");
    /// `ward.v1.resources`: what a proxy is told.
    pub mod resources {
        tonic::include_proto!("ward.v1.resources");
    }
}

/// Prefix of the type URL of a Ward resource; the message name follows.
pub const TYPE_URL_PREFIX: &str = "type.googleapis.com/ward.v1.resources.";
