//! The one writer to standard output: event lines, and below them on a terminal the live table of flows, redrawn in
//! place. Elsewhere the table's changed lines are printed now and then; with `-o json` each event is one line.
use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use tokio::sync::mpsc;

use super::event::{Event, FlowRow, flow_table};
use crate::{clock::Clock, supervise::Notice};

/// Events waiting to be shown.
const QUEUE: usize = 1024;
/// On a terminal the table never takes more lines than this.
const TABLE_LINES_MAX: usize = 40;

/// Where events are told; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Teller(mpsc::Sender<Event>);

impl Teller {
    /// Tells an event; waits while the queue is full.
    pub(crate) async fn tell(&self, event: Event) {
        // The screen goes last; if it is gone all the same, there is nobody to tell.
        let _ = self.0.send(event).await;
    }

    /// Runs a step and tells how long it took; every second that it is still going on.
    pub(crate) async fn step<T>(&self, what: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let since = Clock::now();
        tokio::pin!(work);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    let ms = super::event::ms(since.elapsed());
                    self.tell(Event::Waiting { what: what.to_owned(), ms }).await;
                }
            }
        };
        if result.is_ok() {
            self.tell(Event::Done { what: what.to_owned(), ms: super::event::ms(since.elapsed()) }).await;
        }
        result
    }
}

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Lines, and a table redrawn in place.
    Terminal,
    /// Lines only.
    Lines,
    /// JSON lines.
    Json,
}

impl Style {
    /// By what standard output is.
    pub(crate) fn of(json: bool) -> Self {
        match (json, io::stdout().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Terminal,
            (false, false) => Self::Lines,
        }
    }

    /// How often the flows are looked at.
    pub(crate) fn pace(self) -> Duration {
        match self {
            Self::Terminal => Duration::from_secs(1),
            Self::Lines | Self::Json => Duration::from_secs(3),
        }
    }
}

/// Starts the screen; it ends when every teller and the sender of notices are gone.
pub(crate) fn start(style: Style) -> (Teller, mpsc::Sender<Notice>, impl Future<Output = ()>) {
    let (teller, events) = mpsc::channel(QUEUE);
    let (notices, noticed) = mpsc::channel(QUEUE);
    let screen = Screen { style, drawn: 0, flows: Vec::new(), waiting: String::new() };
    (Teller(teller), notices, screen.run(events, noticed))
}

struct Screen {
    style: Style,
    /// Lines of the table on the terminal now.
    drawn: usize,
    flows: Vec<FlowRow>,
    /// On the terminal: what is waited for just now.
    waiting: String,
}

impl Screen {
    async fn run(mut self, mut events: mpsc::Receiver<Event>, mut notices: mpsc::Receiver<Notice>) {
        let (mut events_open, mut notices_open) = (true, true);
        while events_open || notices_open {
            let event = tokio::select! {
                event = events.recv(), if events_open => match event {
                    Some(event) => event,
                    None => { events_open = false; continue }
                },
                notice = notices.recv(), if notices_open => match notice {
                    Some(notice) => notice.into(),
                    None => { notices_open = false; continue }
                },
            };
            self.show(event);
        }
    }

    fn show(&mut self, event: Event) {
        let text = match self.style {
            Style::Json => json_line(&event),
            Style::Lines => self.lines(event),
            Style::Terminal => self.redraw(event),
        };
        // Who does not read must not stop what runs; the log files have it all.
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn lines(&mut self, event: Event) -> String {
        // Where nothing can be redrawn, a long wait is told now and then.
        if matches!(event, Event::Waiting { ms, .. } if ms / 1000 != 1 && ms / 1000 % 5 != 0) {
            return String::new();
        }
        let Event::Flows { flows } = event else { return event.text() };
        let text = changed_lines(&self.flows, &flows);
        self.flows = flows;
        text
    }

    fn redraw(&mut self, event: Event) -> String {
        // Up to the table's first line, and clear from there to the end of the screen.
        let clear = if self.drawn > 0 { format!("\x1b[{}A\x1b[J", self.drawn) } else { String::new() };
        let ends = matches!(event, Event::Stopping { .. });
        let mut text = event.text();
        match event {
            Event::Flows { flows } => self.flows = flows,
            Event::Waiting { .. } => self.waiting = std::mem::take(&mut text),
            _ => self.waiting.clear(),
        }
        if ends {
            self.flows.clear();
        }
        let table = if self.flows.is_empty() { String::new() } else { format!("\n{}", flow_table(&self.flows)) };
        let table = format!("{}{table}", self.waiting);
        let (width, height) = size();
        let table: Vec<String> = table
            .lines()
            .take(TABLE_LINES_MAX.min(height.saturating_sub(2)))
            .map(|line| line.chars().take(width.saturating_sub(1)).collect())
            .collect();
        self.drawn = table.len();
        let table: String = table.into_iter().map(|line| line + "\n").collect();
        format!("{clear}{text}{table}")
    }
}

/// The terminal's columns and lines; a usual size when it does not say.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (100, 40),
    }
}

/// The lines of the new table whose counts differ from the old one; nothing when none does.
pub(crate) fn changed_lines(old: &[FlowRow], new: &[FlowRow]) -> String {
    let counts = |flow: &FlowRow| (flow.requests, flow.denied, flow.errors);
    let changed: Vec<FlowRow> = new
        .iter()
        .filter(|flow| {
            let before = old.iter().find(|o| (&o.flow, &o.from, &o.to) == (&flow.flow, &flow.from, &flow.to));
            before.map_or(counts(flow) != (0, 0, 0), |before| counts(before) != counts(flow))
        })
        .cloned()
        .collect();
    if changed.is_empty() { String::new() } else { flow_table(&changed) }
}

fn json_line(event: &Event) -> String {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("time_ms".into(), super::event::ms(Clock::unix()).into());
    }
    format!("{value}\n")
}
