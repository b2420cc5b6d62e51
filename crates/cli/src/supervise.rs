//! Child processes: started with a log file, restarted with backoff, stopped with a deadline. Each is the leader of
//! its own process group, so that a Ctrl-C in the terminal reaches only `ward`, which then stops things in order.
//!
//! Every child dies with this process (`setpriv --pdeathsig`, which holds for the thread that starts it: the runtime
//! must be single-threaded), and carries marks in its environment by which its own strays can be found again.
pub(crate) mod backoff;
pub(crate) mod logs;
pub(crate) mod marks;
mod second;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, IsTerminal as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::task::TaskTracker;

use backoff::Backoff;
use marks::Marks;

use crate::clock::Clock;

/// What failed so often in a row while it should become ready for the first time will not.
pub(crate) const HOPELESS_FAILURES: u32 = 5;

/// What to start and how.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// How people see it, e.g. `orders/0 application`.
    pub(crate) label: String,
    /// Program and arguments, wrapped already (`ip netns exec …`, `setpriv …`).
    pub(crate) argv: Vec<OsString>,
    /// The whole environment; nothing else is passed on.
    pub(crate) env: BTreeMap<String, OsString>,
    /// Working directory.
    pub(crate) dir: PathBuf,
    /// Standard output and error go here.
    pub(crate) log: PathBuf,
    /// Found in the process's environment; what is left of the process after it ended is found by them.
    pub(crate) marks: Marks,
    /// Whether it has process numbers of its own and is number 2 there; what we start only waits for it.
    pub(crate) second: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It exited with this code.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
}

/// Whether a process that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Always.
    Always,
    /// Unless it exited with code 0: a job that is done.
    UnlessDone,
}

/// Where a kept process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not running yet, or about to be started again.
    Starting,
    /// It runs.
    Running {
        /// Its process id.
        pid: i32,
    },
    /// It ended, or could not be started, and waits for its next start.
    Backoff {
        /// How often in a row, without having run for long.
        failures: u32,
    },
    /// A job that is done.
    Finished,
    /// Stopped on purpose.
    Stopped,
}

/// What happened to a kept process.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// `Program::label`.
    pub(crate) label: String,
    /// `Program::log`.
    pub(crate) log: PathBuf,
    /// What.
    pub(crate) what: What,
}

/// The kinds of `Notice`.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// Started; `again` when it ran before.
    Started {
        /// Process id.
        pid: i32,
        /// Whether this is a restart.
        again: bool,
    },
    /// Ended without being asked to.
    Ended {
        /// How.
        ending: Ending,
        /// When it is started again; `None` when it is done.
        again_in: Option<Duration>,
    },
    /// Could not be started.
    Unstartable {
        /// Why.
        error: String,
        /// When the next attempt is made.
        again_in: Duration,
    },
    /// Stopped as asked.
    Stopped {
        /// How it ended.
        ending: Option<Ending>,
        /// True when the deadline passed and it was killed.
        forced: bool,
        /// How long it took.
        took: Duration,
    },
}

/// Awaited before each start, e.g. to put a fresh join token in place.
pub(crate) type Before = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Run,
    Stop(Duration),
    Kill,
}

/// A process that is kept running until it is stopped. Dropping it stops nothing: `stop` or `kill` must be called.
#[derive(Debug)]
pub(crate) struct Kept {
    orders: watch::Sender<Order>,
    state: watch::Receiver<State>,
}

impl Kept {
    /// Where it stands.
    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// To wait for changes of its state.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Asks it to end, kills it after `deadline`, and returns once it is gone.
    pub(crate) async fn stop(&self, deadline: Duration) {
        self.order_stop(deadline);
        self.gone().await;
    }

    /// Asks it to end, and kills it after `deadline`; `gone` tells when it has ended.
    pub(crate) fn order_stop(&self, deadline: Duration) {
        self.orders.send_if_modified(|order| {
            let first = *order == Order::Run;
            if first {
                *order = Order::Stop(deadline);
            }
            first
        });
    }

    /// Kills it now; `gone` tells when that has happened.
    pub(crate) fn kill(&self) {
        self.orders.send_replace(Order::Kill);
    }

    /// Returns once it is stopped for good.
    pub(crate) async fn gone(&self) {
        let mut state = self.state.clone();
        // An error means that the keeper's task is gone, and with it the process.
        while *state.borrow_and_update() != State::Stopped {
            if state.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Starts a program and keeps it running; what happens to it is sent to `notices`, whose reader must never wait for
/// this process.
pub(crate) fn keep(
    program: Program,
    restart: Restart,
    before: Option<Before>,
    notices: mpsc::Sender<Notice>,
    tasks: &TaskTracker,
) -> Kept {
    let (orders, order) = watch::channel(Order::Run);
    let (state_sender, state) = watch::channel(State::Starting);
    let keeper = Keeper { program, restart, before, notices, order, state: state_sender };
    tasks.spawn(keeper.run());
    Kept { orders, state }
}

struct Keeper {
    program: Program,
    restart: Restart,
    before: Option<Before>,
    notices: mpsc::Sender<Notice>,
    order: watch::Receiver<Order>,
    state: watch::Sender<State>,
}

impl Keeper {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut again = false;
        loop {
            self.state.send_replace(State::Starting);
            let prepared = tokio::select! {
                biased;
                () = ordered(&mut self.order) => break,
                prepared = prepare(self.before.clone()) => prepared,
            };
            let started =
                prepared.and_then(|()| spawn(&self.program).map_err(|error| cannot_start(&self.program, &error)));
            let mut child = match started {
                Ok(child) => child,
                Err(error) => {
                    let again_in = backoff.failed(Duration::ZERO);
                    self.state.send_replace(State::Backoff { failures: backoff.failures() });
                    self.tell(What::Unstartable { error, again_in }).await;
                    if self.wait(again_in).await {
                        break;
                    }
                    continue;
                }
            };
            let since = Clock::now();
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
            self.state.send_replace(State::Running { pid });
            self.tell(What::Started { pid, again }).await;
            again = true;
            let ended = tokio::select! {
                biased;
                ended = child.wait() => ended,
                () = ordered(&mut self.order) => {
                    self.end(child).await;
                    break;
                }
            };
            let ending = self.ending(ended);
            // Whatever the process left behind would hold its ports and files when it is started again.
            marks::kill_all(&self.program.marks);
            if ending == Ending::Code(0) && self.restart == Restart::UnlessDone {
                self.state.send_replace(State::Finished);
                self.tell(What::Ended { ending, again_in: None }).await;
                ordered(&mut self.order).await;
                break;
            }
            let again_in = backoff.failed(since.elapsed());
            self.state.send_replace(State::Backoff { failures: backoff.failures() });
            self.tell(What::Ended { ending, again_in: Some(again_in) }).await;
            if self.wait(again_in).await {
                break;
            }
        }
        self.state.send_replace(State::Stopped);
    }

    /// True when an order came first.
    async fn wait(&mut self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = ordered(&mut self.order) => true,
            () = sleep(pause) => false,
        }
    }

    /// Ends a running process as ordered: SIGTERM to it, then to what it left behind, then SIGKILL to all of that.
    async fn end(&mut self, mut child: Child) {
        let since = Clock::now();
        let order = *self.order.borrow_and_update();
        let Order::Stop(deadline) = order else {
            self.kill(&mut child).await;
            self.told_stopped(self.ending(child.wait().await), true, since).await;
            return;
        };
        signal(&child, Signal::TERM);
        if let (true, Some(waiting)) = (self.program.second, pid(&child)) {
            // Before it is started the signal to the child ended that.
            second::signal(waiting, Signal::TERM);
        }
        let graceful = async {
            let status = child.wait().await;
            marks::signal_all(&self.program.marks, Signal::TERM);
            while marks::any(&self.program.marks) {
                sleep(Duration::from_millis(20)).await;
            }
            status
        };
        let killed = async {
            while *self.order.borrow_and_update() != Order::Kill {
                if self.order.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let status = tokio::select! {
            status = timeout(deadline, graceful) => status.ok(),
            () = killed => None,
        };
        match status {
            Some(status) => self.told_stopped(self.ending(status), false, since).await,
            None => {
                self.kill(&mut child).await;
                self.told_stopped(self.ending(child.wait().await), true, since).await;
            }
        }
    }

    /// Who waits for a second process tells of its death by a signal as shells do.
    fn ending(&self, status: io::Result<ExitStatus>) -> Ending {
        match Ending::of(status) {
            Ending::Code(code @ 129..=192) if self.program.second => Ending::Signal(code - 128),
            other => other,
        }
    }

    async fn kill(&self, child: &mut Child) {
        if let Some(pid) = pid(child) {
            // The leader is not reaped yet, so the group's number cannot have gone to anyone else.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        let _ = child.wait().await;
        marks::kill_all(&self.program.marks);
    }

    async fn told_stopped(&self, ending: Ending, forced: bool, since: Instant) {
        self.tell(What::Stopped { ending: Some(ending), forced, took: since.elapsed() }).await;
    }

    async fn tell(&self, what: What) {
        let notice = Notice { label: self.program.label.clone(), log: self.program.log.clone(), what };
        // Nobody listens any more: we are going down, and what happens now shows in the log files.
        let _ = self.notices.send(notice).await;
    }
}

async fn prepare(before: Option<Before>) -> Result<(), String> {
    match before {
        Some(before) => before().await,
        None => Ok(()),
    }
}

/// Returns once there is an order other than to run.
async fn ordered(order: &mut watch::Receiver<Order>) {
    while *order.borrow_and_update() == Order::Run {
        if order.changed().await.is_err() {
            // The handle is gone without an order: keep running, `ward`'s end is the end of the process too.
            std::future::pending::<()>().await;
        }
    }
}

fn cannot_start(program: &Program, error: &io::Error) -> String {
    let name = program.argv.first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
    format!("cannot start {name} (log {}): {error}", program.log.display())
}

fn spawn(program: &Program) -> io::Result<Child> {
    let log = logs::open(&program.log)?;
    let mut command = command(&program.argv, &program.env, &program.dir)?;
    command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log)).spawn()
}

/// A command in its own process group, with an empty standard input and only the environment given.
pub(crate) fn command(argv: &[OsString], env: &BTreeMap<String, OsString>, dir: &Path) -> io::Result<Command> {
    let (program, args) =
        argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "empty command"))?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(env).current_dir(dir).stdin(Stdio::null()).process_group(0);
    Ok(command)
}

/// A command with our own standard streams. From a terminal it stays in our process group, or it could not read from
/// it; the terminal's Ctrl-C then reaches it directly.
pub(crate) fn foreground(argv: &[OsString], env: &BTreeMap<String, OsString>, dir: &Path) -> io::Result<Command> {
    let mut command = command(argv, env, dir)?;
    command.stdin(Stdio::inherit());
    if io::stdin().is_terminal() {
        command.process_group(rustix::process::getpgrp().as_raw_nonzero().get());
    }
    Ok(command)
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)
}

/// Sends a signal to a child that has not been reaped; one that is gone is no error.
pub(crate) fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = pid(child) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

impl Ending {
    /// Reads an exit status; a status that cannot be had counts as killed.
    pub(crate) fn of(status: io::Result<ExitStatus>) -> Self {
        match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Self::Code(code),
                (None, Some(signal)) => Self::Signal(signal),
                (None, None) => Self::Signal(9),
            },
            Err(_) => Self::Signal(9),
        }
    }

    /// The code a shell reports: the exit code, or 128 and the signal.
    pub(crate) fn exit_code(self) -> u8 {
        let code = match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128_i32.saturating_add(signal),
        };
        u8::try_from(code & 0xff).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {number}"),
            },
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// Opens a file for appending, making it when it is missing; readable by its owner only.
pub(crate) fn append_to(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
