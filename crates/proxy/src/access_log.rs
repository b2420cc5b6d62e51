//! The access log: one JSON object per request, written by a thread of its own behind a bounded queue. A queue that is
//! full drops lines and counts them: a slow disk must not slow requests.
use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    net::IpAddr,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use crate::{account::Outcome, ask::Ask, settings::AccessLog};

/// Lines waiting to be written.
const QUEUE: usize = 8192;

/// The facts of a request that the log needs after its buffers are gone.
pub(crate) struct Request {
    method: String,
    path: String,
    host: String,
    request_id: String,
}

impl Request {
    pub(crate) fn new(ask: &Ask<'_>) -> Self {
        let request_id = ask.headers.first("x-request-id").map(|v| String::from_utf8_lossy(v).into_owned());
        Self {
            method: ask.method.to_owned(),
            path: ask.path.to_owned(),
            host: ask.host.to_owned(),
            request_id: request_id.unwrap_or_default(),
        }
    }
}

/// One line.
pub(crate) struct Line<'a> {
    pub(crate) request: &'a Request,
    pub(crate) outcome: &'a Outcome,
    pub(crate) reason: Option<&'static str>,
    pub(crate) principal: Option<&'a str>,
    pub(crate) peer: IpAddr,
    pub(crate) upstream: Option<&'a str>,
    pub(crate) flow: &'a str,
    pub(crate) decision: Option<&'a str>,
}

impl Line<'_> {
    fn json(&self, unix_ms: u64) -> String {
        serde_json::json!({
            "time_ms": unix_ms,
            "method": self.request.method,
            "path": self.request.path,
            "host": self.request.host,
            "status": self.outcome.status,
            "flags": self.outcome.flag,
            "reason": self.reason,
            "bytes_in": self.outcome.bytes_in,
            "bytes_out": self.outcome.bytes_out,
            "duration_us": u64::try_from(self.outcome.duration.as_micros()).unwrap_or(u64::MAX),
            "principal": self.principal,
            "peer": self.peer,
            "upstream": self.upstream,
            "flow": self.flow,
            "decision": self.decision,
            "request_id": self.request.request_id,
        })
        .to_string()
    }
}

/// The writing end.
pub(crate) struct Writer {
    sender: SyncSender<String>,
    dropped: AtomicU64,
}

impl Writer {
    /// Opens the log and starts its thread; `None` when it is off.
    pub(crate) fn open(setting: &AccessLog) -> io::Result<Option<Self>> {
        let target: Box<dyn Write + Send> = match setting {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => Box::new(io::stdout()),
            AccessLog::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let (sender, receiver) = sync_channel(QUEUE);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write_lines(&receiver, target))?;
        Ok(Some(Self { sender, dropped: AtomicU64::new(0) }))
    }

    pub(crate) fn write(&self, line: &Line<'_>, unix_ms: u64) {
        if self.sender.try_send(line.json(unix_ms)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn write_lines(lines: &Receiver<String>, target: Box<dyn Write + Send>) {
    let mut out = BufWriter::new(target);
    let mut failed = false;
    while let Ok(line) = lines.recv() {
        let mut result = writeln!(out, "{line}");
        for line in lines.try_iter().take(QUEUE) {
            result = result.and_then(|()| writeln!(out, "{line}"));
        }
        // Said once: a full disk would otherwise fill the other log too.
        if let (Err(error), false) = (result.and_then(|()| out.flush()), failed) {
            failed = true;
            tracing::error!(%error, "access log cannot be written");
        }
    }
}
