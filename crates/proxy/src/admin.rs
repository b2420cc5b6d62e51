//! The admin port: `/ready`, `/metrics` (Istio's names and labels, then our own), `/config`, `POST /drain`.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use daemon::{
    admin::{self, Answer},
    metrics::{Kind, Text},
};
use http::{Method, StatusCode};

use crate::{
    Proxy,
    account::{DURATION_BOUNDS_MS, Labels, Reporter, SIZE_BOUNDS, Totals},
    audit_spool::Status,
    snapshot::{Admitted, Snapshot},
};

/// Serves the admin port on the current runtime; returns the bound address.
pub async fn serve(proxy: &Proxy, address: SocketAddr) -> std::io::Result<SocketAddr> {
    let shown = proxy.clone();
    let handler: Arc<admin::Handler> = Arc::new(move |method: &Method, path: &str| match (method.as_str(), path) {
        ("GET" | "HEAD", "/ready") => Some(if shown.is_ready() {
            Answer::text(StatusCode::OK, "ready\n")
        } else {
            Answer::text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }),
        ("GET", "/metrics") => Some(Answer {
            status: StatusCode::OK,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics(&shown),
        }),
        ("GET", "/config") => Some(Answer::json(&config(&shown))),
        ("POST", "/drain") => {
            shown.tasks().drain().stop();
            Some(Answer::text(StatusCode::ACCEPTED, "draining\n"))
        }
        (_, "/ready" | "/metrics" | "/config" | "/drain") => {
            Some(Answer::text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"))
        }
        _ => None,
    });
    admin::serve(address, proxy.tasks(), handler).await
}

/// What is in force, without keys, tokens or certificates.
fn config(proxy: &Proxy) -> serde_json::Value {
    let Some(snapshot) = proxy.shared().snapshot.load_full() else { return serde_json::json!({ "revision": null }) };
    let upstreams = snapshot.upstreams.iter().map(|u| {
        serde_json::json!({
            "name": u.name, "node": u.node, "port": u.port, "identity": u.id, "protocol": u.protocol.as_str(), "endpoints": u.endpoints,
            "local_port": u.local_port, "server_name": format!("{}.{}.{}", u.port, u.node, u.namespace),
        })
    });
    let services = snapshot
        .services
        .iter()
        .map(|s| serde_json::json!({ "port": s.port, "protocol": s.protocol.as_str(), "address": s.address }));
    let listeners = proxy
        .addresses()
        .into_iter()
        .map(|(kind, address)| serde_json::json!({ "kind": format!("{kind:?}"), "address": address }));
    serde_json::json!({
        "revision": snapshot.revision,
        "node": snapshot.node,
        "namespace": snapshot.namespace,
        "identity": snapshot.id,
        "svid_expires": unix_seconds(snapshot.svid_not_after),
        "dry_run": snapshot.dry_run,
        "admitted": match &snapshot.admitted {
            Admitted::Anyone => serde_json::json!("anyone"),
            Admitted::Only(set) => serde_json::json!(set),
        },
        "issuers": snapshot.tokens.issuers().map(|(issuer, keys)| serde_json::json!({ "issuer": issuer, "keys": keys })).collect::<Vec<_>>(),
        "upstreams": upstreams.collect::<Vec<_>>(),
        "services": services.collect::<Vec<_>>(),
        "listeners": listeners.collect::<Vec<_>>(),
    })
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Istio's labels of a series, without status and flags.
fn istio_labels(labels: &Labels, own: Option<&Snapshot>) -> Vec<(&'static str, String)> {
    let destination = &labels.destination;
    let (source_namespace, source_workload) = names(&labels.source);
    let unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    let trust_domain = own.map_or("", |s| s.id.trust_domain());
    let service = match destination.node.as_str() {
        "" => "unknown".to_owned(),
        node => format!("{node}.{}.{trust_domain}", destination.namespace),
    };
    let tcp = labels.protocol == "tcp";
    vec![
        (
            "reporter",
            match labels.reporter {
                Reporter::Source => "source".to_owned(),
                Reporter::Destination => "destination".to_owned(),
            },
        ),
        ("source_workload", unknown(source_workload)),
        ("source_workload_namespace", unknown(source_namespace)),
        ("source_principal", unknown(&labels.source)),
        ("source_app", unknown(source_workload)),
        ("destination_workload", unknown(&destination.node)),
        ("destination_workload_namespace", unknown(&destination.namespace)),
        ("destination_principal", unknown(&destination.principal)),
        ("destination_app", unknown(&destination.node)),
        ("destination_service", service),
        ("destination_service_name", unknown(&destination.node)),
        ("destination_service_namespace", unknown(&destination.namespace)),
        ("request_protocol", if tcp { "tcp".to_owned() } else { labels.protocol.to_owned() }),
        (
            "connection_security_policy",
            match (labels.reporter, labels.mutual_tls) {
                (Reporter::Source, _) => "unknown".to_owned(),
                (Reporter::Destination, true) => "mutual_tls".to_owned(),
                (Reporter::Destination, false) => "none".to_owned(),
            },
        ),
    ]
}

/// Namespace and account of a SPIFFE ID.
fn names(id: &str) -> (&str, &str) {
    let mut parts = id.strip_prefix("spiffe://").unwrap_or_default().split('/').skip(1);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("ns"), Some(ns), Some("sa"), Some(sa)) => (ns, sa),
        _ => ("", ""),
    }
}

type Rows = BTreeMap<Vec<(&'static str, String)>, Totals>;

/// The whole page.
pub fn metrics(proxy: &Proxy) -> String {
    let shared = proxy.shared();
    let snapshot = shared.snapshot.load_full();
    let (mut http, mut tcp): (Rows, Rows) = Default::default();
    for (labels, totals) in shared.ledger.totals() {
        let rows = if labels.protocol == "tcp" { &mut tcp } else { &mut http };
        rows.entry(istio_labels(&labels, snapshot.as_deref())).or_default().merge(&totals);
    }
    let mut text = Text::new();
    requests(&mut text, &http, &tcp);
    histograms(&mut text, &http);
    tunnels(&mut text, &tcp);
    own(&mut text, proxy, snapshot.as_deref());
    text.finish()
}

fn borrowed<'a>(labels: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn requests(text: &mut Text, http: &Rows, tcp: &Rows) {
    text.family("istio_requests_total", Kind::Counter, "Requests.");
    for (labels, totals) in http.iter().chain(tcp) {
        for (status, flag, count) in &totals.statuses {
            let status = status.to_string();
            let mut labels = borrowed(labels);
            labels.extend([("response_code", status.as_str()), ("response_flags", flag)]);
            text.sample("istio_requests_total", &labels, *count as f64);
        }
    }
}

fn histograms(text: &mut Text, http: &Rows) {
    let name = "istio_request_duration_milliseconds";
    text.family(name, Kind::Histogram, "From request head to the end of the response.");
    for (labels, totals) in http {
        text.histogram(
            name,
            &borrowed(labels),
            &DURATION_BOUNDS_MS,
            &totals.duration,
            totals.duration_us as f64 / 1000.0,
        );
    }
    text.family("istio_request_bytes", Kind::Histogram, "Request body bytes.");
    for (labels, totals) in http {
        let sum = totals.bytes_in as f64;
        text.histogram("istio_request_bytes", &borrowed(labels), &SIZE_BOUNDS, &totals.request_sizes, sum);
    }
    text.family("istio_response_bytes", Kind::Histogram, "Response body bytes.");
    for (labels, totals) in http {
        let sum = totals.bytes_out as f64;
        text.histogram("istio_response_bytes", &borrowed(labels), &SIZE_BOUNDS, &totals.response_sizes, sum);
    }
}

fn tunnels(text: &mut Text, tcp: &Rows) {
    type Family = (&'static str, &'static str, fn(&Totals) -> u64);
    let families: [Family; 4] = [
        ("istio_tcp_connections_opened_total", "TCP connections opened.", |t| t.opened),
        ("istio_tcp_connections_closed_total", "TCP connections closed.", |t| t.closed),
        ("istio_tcp_sent_bytes_total", "Bytes towards the caller.", |t| t.bytes_out),
        ("istio_tcp_received_bytes_total", "Bytes from the caller.", |t| t.bytes_in),
    ];
    for (name, help, value) in families {
        text.family(name, Kind::Counter, help);
        for (labels, totals) in tcp {
            text.sample(name, &borrowed(labels), value(totals) as f64);
        }
    }
}

fn own(text: &mut Text, proxy: &Proxy, snapshot: Option<&Snapshot>) {
    let shared = proxy.shared();
    let dropped = shared.access_log.as_ref().map_or(0, |log| log.dropped());
    let refused = shared.counters.connections_refused.load(Ordering::Relaxed);
    let handshakes = shared.counters.handshakes_failed.load(Ordering::Relaxed);
    let counters = [
        (
            "ward_decision_records_dropped_total",
            "Decision records dropped at a full queue.",
            shared.decisions.dropped(),
        ),
        ("ward_access_log_lines_dropped_total", "Access log lines dropped at a full queue.", dropped),
        ("ward_connections_refused_total", "Connections beyond the limit.", refused),
        ("ward_tls_handshakes_failed_total", "Handshakes refused.", handshakes),
    ];
    for (name, help, value) in counters {
        text.family(name, Kind::Counter, help);
        text.sample(name, &[], value as f64);
    }
    if let Some(audit) = &shared.audit {
        audit_spool(text, &audit.status());
    }
    decisions(text, proxy);
    let expiry = snapshot.map_or(0, |s| unix_seconds(s.svid_not_after));
    let gauges = [
        ("ward_config_revision", "Revision of the configuration in force.", snapshot.map_or(0, |s| s.revision)),
        ("ward_svid_expiry_timestamp_seconds", "When the own SVID expires.", expiry),
        ("ward_ready", "1 when ready.", u64::from(proxy.is_ready())),
    ];
    for (name, help, value) in gauges {
        text.family(name, Kind::Gauge, help);
        text.sample(name, &[], value as f64);
    }
}

fn decisions(text: &mut Text, proxy: &Proxy) {
    let tallies = &proxy.shared().tallies;
    text.family("ward_decisions_total", Kind::Counter, "Decisions, by outcome and reason code.");
    for (outcome, reason, count) in tallies.decisions() {
        text.sample("ward_decisions_total", &[("decision", outcome), ("reason", reason)], count as f64);
    }
    text.family("ward_tokens_refused_total", Kind::Counter, "Refused tokens, by issuer and the check that failed.");
    for (issuer, check, count) in tallies.tokens() {
        let issuer = if issuer.is_empty() { "unknown" } else { &*issuer };
        text.sample("ward_tokens_refused_total", &[("issuer", issuer), ("check", check)], count as f64);
    }
}

fn audit_spool(text: &mut Text, status: &Status) {
    let families = [
        ("ward_audit_spool_bytes", Kind::Gauge, "Bytes of the audit spool on disk.", status.bytes as f64),
        ("ward_audit_spool_records", Kind::Gauge, "Records in it that nobody has taken.", status.records as f64),
        (
            "ward_audit_spool_oldest_age_seconds",
            Kind::Gauge,
            "How long the oldest of them waits.",
            status.oldest_age_ms as f64 / 1000.0,
        ),
        (
            "ward_audit_spool_refused_total",
            Kind::Counter,
            "Requests refused because their record was not on disk in time.",
            status.refused as f64,
        ),
        ("ward_audit_spool_corrupt_total", Kind::Counter, "Records damaged on disk.", status.damaged as f64),
        (
            "ward_audit_spool_dropped_total",
            Kind::Counter,
            "Outcomes and denials without a place.",
            status.dropped as f64,
        ),
        ("ward_audit_spool_sync_failures_total", Kind::Counter, "Syncs that failed.", status.sync_failures as f64),
        ("ward_audit_spool_commits_total", Kind::Counter, "Groups of records brought to disk.", status.commits as f64),
    ];
    for (name, kind, help, value) in families {
        text.family(name, kind, help);
        text.sample(name, &[], value);
    }
}
