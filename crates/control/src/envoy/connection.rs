//! What stands around the filters: Istio's settings for inbound connections, which decide what the filters get to see.
use model::istio::MtlsMode;
use serde_json::{Value, json};

use super::{Filters, filter};

/// Runtime flags of Istio's bootstrap that change what a request is.
pub fn runtime() -> Value {
    json!({ "envoy.reloadable_features.http_reject_path_with_fragment": false })
}

/// Istio's HTTP connection manager for a sidecar's inbound side, with our filters before the router. Paths: `BASE`
/// normalization. The address of the original caller is the last one in `X-Forwarded-For`, whoever wrote it.
pub fn connection_manager(filters: &Filters, routes: &Value) -> Value {
    let router = filter("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", json!({}));
    let filters: Vec<&Value> = filters.http.iter().chain([&router]).collect();
    filter(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "inbound",
            "codec_type": "AUTO",
            "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
            "normalize_path": true,
            "merge_slashes": false,
            "use_remote_address": false,
            "forward_client_cert_details": "APPEND_FORWARD",
            "set_current_client_cert_details": { "subject": true, "dns": true, "uri": true },
            "upgrade_configs": [{ "upgrade_type": "websocket" }],
            "stream_idle_timeout": "0s",
            "http_filters": filters,
            "route_config": routes,
        }),
    )
}

/// A filter chain's part that mutual TLS decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// `tls` or `raw_buffer`, for `filter_chain_match.transport_protocol`.
    pub transport_protocol: &'static str,
    /// Terminates TLS, and asks for the peer's certificate.
    pub transport_socket: Option<Value>,
}

/// The chains of a port: under STRICT only TLS with a certificate, under DISABLE only plaintext, under PERMISSIVE both.
/// `common` is Envoy's `CommonTlsContext`: own certificate and trusted authorities.
pub fn chains(mode: MtlsMode, common: &Value) -> Vec<Chain> {
    let tls = || Chain {
        transport_protocol: "tls",
        transport_socket: Some(filter(
            "envoy.transport_sockets.tls",
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            json!({ "require_client_certificate": true, "common_tls_context": common }),
        )),
    };
    let plain = Chain { transport_protocol: "raw_buffer", transport_socket: None };
    match mode {
        MtlsMode::Strict => vec![tls()],
        MtlsMode::Disable => vec![plain],
        MtlsMode::Permissive | MtlsMode::Unset => vec![tls(), plain],
    }
}
