//! Every limit and deadline on what a peer controls: name, default, meaning. docs/proxy.md shows this table.
use std::time::Duration;

use daemon::SettingsError;
use serde::Deserialize;

use crate::settings::duration;

/// Below this a spool could not hold a handful of the longest records.
const AUDIT_SPOOL_BYTES_MIN: usize = 1024 * 1024;

macro_rules! limits {
    (sizes { $($(#[doc = $sd:literal])* $size:ident = $sdef:expr;)* } durations { $($(#[doc = $dd:literal])* $dur:ident = $ddef:expr;)* }) => {
        /// Limits and deadlines. Deadlines are kept to within a tenth of a second.
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $($(#[doc = $sd])* pub $size: usize,)*
            $($(#[doc = $dd])* #[serde(deserialize_with = "duration")] pub $dur: Duration,)*
        }
        impl Default for Limits {
            fn default() -> Self {
                Self { $($size: $sdef,)* $($dur: Duration::from_millis($ddef),)* }
            }
        }
        impl Limits {
            /// Name, default and meaning of each limit, for the documentation.
            pub fn table() -> Vec<(&'static str, String, String)> {
                vec![
                    $((stringify!($size), ($sdef as usize).to_string(), [$($sd),*].concat().trim().to_owned()),)*
                    $((stringify!($dur), text(Duration::from_millis($ddef)), [$($dd),*].concat().trim().to_owned()),)*
                ]
            }
        }
    };
}

limits! {
    sizes {
        /// Bytes of a request or response head, start line included; also of a trailer section. Beyond: 431, or 502.
        header_bytes_max = 32 * 1024;
        /// Header lines of a head. Beyond: 431, or 502. At most 128.
        headers_max = 100;
        /// Bytes of a request target. Beyond: 414.
        target_bytes_max = 8 * 1024;
        /// Downstream connections of one worker. Beyond: closed at once.
        connections_max = 10_000;
        /// Concurrent streams of one HTTP/2 connection.
        streams_max = 128;
        /// Streams an HTTP/2 peer may have reset before we saw them (rapid reset). Beyond: the connection is closed.
        stream_resets_max = 32;
        /// Idle connections kept to one upstream endpoint by one worker; 0 means a new one for each request.
        upstream_idle_connections_max = 256;
        /// Records of decisions waiting to be reported. Beyond: dropped and counted.
        decision_queue_max = 4_096;
        /// Bytes of the audit spool on disk, in which decisions of strict and critical flows wait for the control plane. Beyond: their requests are refused.
        audit_spool_bytes_max = 64 * 1024 * 1024;
        /// Metric series of one worker. Beyond: counted under `other`.
        series_max = 4_096;
    }
    durations {
        /// From accepting a connection to the end of its TLS handshake.
        tls_handshake_timeout = 10_000;
        /// From the first byte of a request head to its last.
        header_timeout = 10_000;
        /// A downstream connection without a request.
        idle_timeout = 75_000;
        /// No byte moved, in either direction, while a body is under way.
        body_idle_timeout = 60_000;
        /// From a complete request to the upstream's response head, unless the upstream says otherwise. gRPC streams: `tunnel_idle_timeout`.
        request_timeout = 30_000;
        /// Connecting and shaking hands with an upstream endpoint.
        connect_timeout = 3_000;
        /// An idle connection to another proxy; below `idle_timeout`, so that we close first.
        upstream_idle_timeout = 50_000;
        /// An idle connection to the application; below the 5 s after which common servers close theirs.
        app_idle_timeout = 4_000;
        /// A tunnel (TCP, WebSocket) in which no byte moved.
        tunnel_idle_timeout = 3_600_000;
        /// Until the decision of a strict or critical flow is on disk. Beyond: 503, and nothing is forwarded.
        audit_commit_timeout = 2_000;
        /// Discarding what a peer still sends after we answered and closed.
        linger_timeout = 1_000;
    }
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if !(1..=128).contains(&self.headers_max) {
            return Err(SettingsError::invalid("limits.headers_max", "write 1 to 128"));
        }
        if !(256..=1024 * 1024).contains(&self.header_bytes_max) {
            return Err(SettingsError::invalid("limits.header_bytes_max", "write 256 to 1048576"));
        }
        if self.audit_spool_bytes_max < AUDIT_SPOOL_BYTES_MIN {
            return Err(SettingsError::invalid("limits.audit_spool_bytes_max", "write at least 1048576"));
        }
        if self.decision_queue_max == 0 {
            return Err(SettingsError::invalid("limits.decision_queue_max", "write at least 1"));
        }
        Ok(())
    }
}

fn text(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}
