//! The facts a decision is made from. The caller has checked them: the principal by the handshake, the path by
//! `normalize_path`, the token by its signature.
use std::net::IpAddr;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

/// What is asked, by whom. Borrowed from the request in flight; copying it is cheap.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// SPIFFE URI of the peer, `None` when it proved no identity. Anything that does not start with `spiffe://` is
    /// read as no identity.
    pub principal: Option<&'a str>,
    /// Request method as received; empty for TCP.
    pub method: &'a str,
    /// What `normalize_path` returned: no query, no fragment; empty for TCP.
    pub path: &'a str,
    /// Host or `:authority` as received, with or without a port; empty for TCP.
    pub host: &'a str,
    /// Request headers.
    pub headers: &'a HeaderMap,
    /// Address of the direct peer of the connection.
    pub source_ip: Option<IpAddr>,
    /// Address of the original caller, as far as a trusted hop tells it.
    pub remote_ip: Option<IpAddr>,
    /// Own address of the connection: where the direct peer connected to.
    pub destination_ip: Option<IpAddr>,
    /// The workload's port the request is for.
    pub port: u16,
    /// Whether method, path, host and headers exist at all.
    pub protocol: Protocol,
    /// TLS server name the peer sent.
    pub sni: Option<&'a str>,
    /// Claims of a token that was validated; never those of one that was not.
    pub jwt: Option<&'a serde_json::Value>,
}

impl<'a> Request<'a> {
    /// A plain `GET /` to port 0 without identity: what the fields not given explicitly mean.
    pub fn new(headers: &'a HeaderMap) -> Self {
        Self {
            principal: None,
            method: "GET",
            path: "/",
            host: "",
            headers,
            source_ip: None,
            remote_ip: None,
            destination_ip: None,
            port: 0,
            protocol: Protocol::Http,
            sni: None,
            jwt: None,
        }
    }

    /// An opaque connection to a port.
    pub fn tcp(headers: &'a HeaderMap, port: u16) -> Self {
        Self { method: "", path: "", port, protocol: Protocol::Tcp, ..Self::new(headers) }
    }
}

/// Whether requests can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, HTTP/2, gRPC.
    #[default]
    Http,
    /// Opaque bytes: every HTTP field is unknown.
    Tcp,
}
