//! What `ward up` tells while it works: one line of text for people, one JSON object for programs.
use std::{fmt::Write as _, path::PathBuf, time::Duration};

use serde::Serialize;

use crate::{
    columns::columns,
    supervise::{Notice, What},
};

/// Something worth telling.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A step that takes a while is still going on.
    Waiting {
        /// What is waited for.
        what: String,
        /// Since when.
        ms: u64,
    },
    /// A step is done.
    Done {
        /// Which.
        what: String,
        /// How long it took.
        ms: u64,
    },
    /// Something to know that stops nothing.
    Warning {
        /// A sentence with its remedy.
        message: String,
    },
    /// A process started.
    Started {
        /// Which.
        process: String,
        /// Its id.
        pid: i32,
        /// Whether it ran before.
        again: bool,
    },
    /// A process ended that was not to.
    Ended {
        /// Which.
        process: String,
        /// How.
        how: String,
        /// When it starts again; absent when it is done.
        again_in_ms: Option<u64>,
        /// Where it wrote.
        log: PathBuf,
    },
    /// A process could not be started.
    Unstartable {
        /// Which.
        process: String,
        /// Why.
        error: String,
        /// When it is tried again.
        again_in_ms: u64,
        /// Where it would have written.
        log: PathBuf,
    },
    /// A process stopped as asked.
    Stopped {
        /// Which.
        process: String,
        /// How it ended.
        how: Option<String>,
        /// Whether it had to be killed.
        forced: bool,
        /// How long it took.
        ms: u64,
    },
    /// A sidecar is ready again after a restart.
    Ready {
        /// Which.
        process: String,
        /// How long that took.
        ms: u64,
    },
    /// Where to find things.
    Addresses(Addresses),
    /// The nodes.
    Nodes {
        /// One row per instance.
        nodes: Vec<NodeRow>,
    },
    /// The outcome of `verify`.
    Verified {
        /// Checks that went as they must.
        ok: usize,
        /// Checks that did not, as lines.
        violated: Vec<String>,
        /// Checks that could not be made, as lines.
        unverifiable: Vec<String>,
        /// How long it took.
        ms: u64,
    },
    /// A changed model is in force.
    Applied {
        /// Its revision.
        revision: u64,
        /// What was started, stopped and restarted for it.
        changes: Vec<String>,
    },
    /// A changed model is refused; everything stays as it was.
    Refused {
        /// Why, as `ward check` draws it.
        why: String,
    },
    /// The mesh is up.
    Up {
        /// How long it took.
        ms: u64,
    },
    /// Everything is being stopped.
    Stopping {
        /// Why.
        why: String,
    },
    /// Everything is stopped.
    Down {
        /// How long it took.
        ms: u64,
    },
    /// The flows, for the live table.
    Flows {
        /// One row per flow.
        flows: Vec<FlowRow>,
    },
}

/// Where to find things.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Addresses {
    /// One per gateway listener and host.
    pub(crate) gateways: Vec<String>,
    /// Roots to trust the gateways by.
    pub(crate) trust: Option<PathBuf>,
    /// A request to try.
    pub(crate) curl: Option<String>,
    /// The operator's socket.
    pub(crate) socket: PathBuf,
    /// Where the control plane listens for sidecars.
    pub(crate) control: String,
    /// Log files.
    pub(crate) logs: PathBuf,
}

/// A row of the table of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct NodeRow {
    /// `orders/0`.
    pub(crate) instance: String,
    /// SPIFFE ID.
    pub(crate) identity: String,
    /// What it is doing.
    pub(crate) state: String,
    /// How it is kept apart.
    pub(crate) isolation: String,
    /// Mesh address.
    pub(crate) address: String,
}

/// A row of the table of flows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct FlowRow {
    /// Id; empty for traffic that no flow allows.
    pub(crate) flow: String,
    /// Source node.
    pub(crate) from: String,
    /// Target node.
    pub(crate) to: String,
    /// declared, enforced or verified; empty when no flow allows it.
    pub(crate) state: String,
    /// Allowed requests or connections since the start.
    pub(crate) requests: u64,
    /// Refused ones.
    pub(crate) denied: u64,
    /// Responses with status 500 and above.
    pub(crate) errors: u64,
    /// Requests a second, over the last minute.
    pub(crate) rate: f64,
}

impl From<Notice> for Event {
    fn from(notice: Notice) -> Self {
        let (process, log) = (notice.label, notice.log);
        match notice.what {
            What::Started { pid, again } => Self::Started { process, pid, again },
            What::Ended { ending, again_in } => {
                Self::Ended { process, how: ending.to_string(), again_in_ms: again_in.map(ms), log }
            }
            What::Unstartable { error, again_in } => {
                Self::Unstartable { process, error, again_in_ms: ms(again_in), log }
            }
            What::Stopped { ending, forced, took } => {
                Self::Stopped { process, how: ending.map(|ending| ending.to_string()), forced, ms: ms(took) }
            }
        }
    }
}

/// Whole milliseconds.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `0.4 s`.
fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

impl Event {
    /// Lines for people, each with its line feed; empty when it is no line but a part of the live table.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Waiting { what, ms } => format!("  … {what}, {}\n", seconds(*ms)),
            Self::Done { what, ms } => format!("  ✓ {what} ({})\n", seconds(*ms)),
            Self::Warning { message } => format!("  ! {message}\n"),
            Self::Started { process, pid, again: true } => format!("  ✓ {process} started again (pid {pid})\n"),
            Self::Started { .. } | Self::Flows { .. } => String::new(),
            Self::Ended { process, how, again_in_ms: Some(again), log } => {
                format!("  ✗ {process} {how}; starts again in {}; log {}\n", seconds(*again), log.display())
            }
            Self::Ended { process, how, again_in_ms: None, .. } => format!("  ✓ {process} {how}: done\n"),
            Self::Unstartable { process, error, again_in_ms, log } => {
                format!("  ✗ {process}: {error}; tried again in {}; log {}\n", seconds(*again_in_ms), log.display())
            }
            Self::Stopped { process, forced: true, ms, .. } => {
                format!("  ! {process} did not stop and was killed ({})\n", seconds(*ms))
            }
            Self::Stopped { process, ms, .. } => format!("  ✓ {process} stopped ({})\n", seconds(*ms)),
            Self::Ready { process, ms } => format!("  ✓ {process} is ready again ({})\n", seconds(*ms)),
            Self::Addresses(addresses) => addresses.text(),
            Self::Nodes { nodes } => format!("\n{}\n", node_table(nodes)),
            Self::Verified { ok, violated, unverifiable, ms } => verified(*ok, violated, unverifiable, *ms),
            Self::Applied { revision, changes } => {
                let mut text = format!("  ✓ the changed model is in force (revision {revision})\n");
                for change in changes {
                    let _ = writeln!(text, "      {change}");
                }
                text
            }
            Self::Refused { why } => {
                format!("{}\n  ✗ the changed model is refused; everything runs on as before\n", why.trim_end())
            }
            Self::Up { ms } => format!("  ✓ up after {}; Ctrl-C stops it\n", seconds(*ms)),
            Self::Stopping { why } => format!("\n  … stopping ({why}); Ctrl-C again cuts it short\n"),
            Self::Down { ms } => format!("  ✓ everything stopped ({})\n", seconds(*ms)),
        }
    }
}

fn verified(ok: usize, violated: &[String], unverifiable: &[String], ms: u64) -> String {
    let mark = if violated.is_empty() { "✓ verified" } else { "✗ VIOLATED" };
    let mut text = format!(
        "  {mark}: {ok} checks as they must be, {} violated, {} unverifiable ({})\n",
        violated.len(),
        unverifiable.len(),
        seconds(ms)
    );
    for line in violated {
        let _ = writeln!(text, "      ✗ {line}");
    }
    let mut unverifiable = unverifiable.to_vec();
    unverifiable.dedup();
    for line in unverifiable.iter().take(5) {
        let _ = writeln!(text, "      ? {line}");
    }
    if unverifiable.len() > 5 {
        let _ = writeln!(text, "      ? and {} more: ward verify", unverifiable.len() - 5);
    }
    text
}

impl Addresses {
    fn text(&self) -> String {
        let mut text = String::from("\n");
        for gateway in &self.gateways {
            let _ = writeln!(text, "  gateway  {gateway}");
        }
        if let Some(trust) = &self.trust {
            let _ = writeln!(text, "  trust    {}", trust.display());
        }
        if let Some(curl) = &self.curl {
            let _ = writeln!(text, "  try      {curl}");
        }
        let _ = writeln!(text, "  control  {}", self.control);
        let _ = writeln!(text, "  socket   {}", self.socket.display());
        let _ = writeln!(text, "  logs     {}", self.logs.display());
        text
    }
}

/// The table of nodes.
pub(crate) fn node_table(nodes: &[NodeRow]) -> String {
    let mut rows = vec![["NODE", "STATE", "ISOLATION", "ADDRESS", "IDENTITY"].map(str::to_owned)];
    rows.extend(
        nodes.iter().map(|node| {
            [&node.instance, &node.state, &node.isolation, &node.address, &node.identity].map(Clone::clone)
        }),
    );
    columns(&rows, &[])
}

/// The table of flows.
pub(crate) fn flow_table(flows: &[FlowRow]) -> String {
    let mut rows = vec![["FLOW", "FROM", "TO", "STATE", "RATE", "ALLOWED", "DENIED", "ERRORS"].map(str::to_owned)];
    rows.extend(flows.iter().map(|flow| {
        let id = if flow.flow.is_empty() { "(undeclared)".to_owned() } else { flow.flow.clone() };
        let rate = if flow.rate > 0.0 { format!("{:.1}/s", flow.rate) } else { "-".to_owned() };
        let counts = [flow.requests, flow.denied, flow.errors].map(|count| count.to_string());
        let [requests, denied, errors] = counts;
        [id, flow.from.clone(), flow.to.clone(), flow.state.clone(), rate, requests, denied, errors]
    }));
    columns(&rows, &[4, 5, 6, 7])
}
