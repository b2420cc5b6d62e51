//! `ward up`: a model as a running mesh on this machine. It starts the control plane, a proxy per instance and the
//! applications as child processes, keeps them running, follows the model directory, and stops what it started.
mod admin;
mod control;
mod environment;
mod event;
mod instance;
mod issuers;
mod listening;
mod plan;
mod preflight;
mod reload;
mod screen;
mod session;
pub(crate) mod signals;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    config::Environment,
    diagnostics,
    isolation::{Choice, Isolation, Network},
    model_dir,
    output::{FINDINGS, Output},
};
use event::{Event, ms};
use screen::Style;
use session::Session;
use signals::Signals;

pub(crate) use admin::{config as sidecar_config, is_ready};
pub(crate) use environment::{Facts, of_application, of_own};
pub(crate) use preflight::Siblings;
pub(crate) use signals::Signals as StopSignals;
pub(crate) use state::write_new;

/// Run a model on this machine: real processes, real mutual TLS, only the declared flows
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward up examples/shop\n  ward up examples/shop --once-verified -o json\n\n\
Exit codes: 0 stopped as asked, 1 the model has errors or (with --once-verified) verify found a violation, \
2 something could not be started")]
pub(crate) struct Args {
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// State directory: keys, tokens, logs, data [default: DIR/.ward]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The operator's socket [default: /run/ward/control.sock as root, else $XDG_RUNTIME_DIR/ward/control.sock]
    #[arg(long, value_name = "PATH", env = "WARD_SOCKET")]
    socket: Option<PathBuf>,
    /// Refuse a model that declares what is not enforced
    #[arg(long)]
    strict: bool,
    /// How instances are kept apart
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    isolation: Choice,
    /// Where gateways listen
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen_address: IpAddr,
    /// Stop after the first verify, with its exit code
    #[arg(long, visible_alias = "exit-after-verify", conflicts_with = "no_verify")]
    once_verified: bool,
    /// Do not verify at the start
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    output: Output,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let since = Clock::now();
    let environment = Environment::read();
    let dir =
        args.dir.canonicalize().with_context(|| format!("cannot open the model directory {}", args.dir.display()))?;
    let files = model_dir::read(&dir)?;
    let loaded = model::load(&files);
    if !loaded.diagnostics.is_empty() {
        eprintln!("{}", diagnostics::render(&files, &loaded.diagnostics).trim_end());
    }
    let Some(model) = loaded.model else { return Ok(ExitCode::from(FINDINGS)) };
    if args.strict && !loaded.diagnostics.is_empty() {
        eprintln!("error: --strict refuses a model with warnings: what is declared must be enforced");
        return Ok(ExitCode::from(FINDINGS));
    }
    let (isolation, why) = Network::decide(args.isolation)?;
    if args.strict && isolation == Isolation::Loopback {
        bail!("--strict needs network namespaces, or every node can be bypassed: run as root on Linux");
    }
    // The children die with the thread that starts them, so that thread must be this one.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let siblings = Siblings::find(&environment)?;
        let style = Style::of(args.output.is_json());
        let (teller, notices, screen) = screen::start(style);
        let tasks = TaskTracker::new();
        let shown = tasks.spawn(screen);
        let mut signals = Signals::new()?;
        let setup = session::Setup { args: &args, dir, environment, siblings, isolation, files, model };
        let opened = Session::open(setup, teller.clone(), notices, tasks.clone()).await;
        let result = match opened {
            Err(error) => Err(error),
            Ok(mut session) => {
                if let Some(why) = why {
                    let message =
                        format!("loopback addresses instead of network namespaces ({why}): nodes are bypassable");
                    teller.tell(Event::Warning { message }).await;
                }
                let outcome = live(&mut session, &args, style, &mut signals, since).await;
                let why = match &outcome {
                    Ok((why, _)) => (*why).to_owned(),
                    Err(_) => "it could not be started".to_owned(),
                };
                let closed = session.close(&why, &mut signals).await;
                outcome.and_then(|(_, code)| closed.map(|()| code))
            }
        };
        // The screen ends with its last teller, after it has shown everything.
        drop(teller);
        let _ = shown.await;
        result
    })
}

/// Starts everything and keeps it up until a signal, an error, or the end of what was asked for.
async fn live(
    session: &mut Session,
    args: &Args,
    style: Style,
    signals: &mut Signals,
    since: tokio::time::Instant,
) -> anyhow::Result<(&'static str, ExitCode)> {
    tokio::select! {
        biased;
        signal = signals.next() => return Ok((signal, ExitCode::SUCCESS)),
        started = session.start() => started?,
    }
    if !args.no_verify {
        let verified = tokio::select! {
            biased;
            signal = signals.next() => return Ok((signal, ExitCode::SUCCESS)),
            verified = session.verify() => verified,
        };
        match verified {
            Ok(code) if args.once_verified => {
                session.tell_nodes().await;
                return Ok(("verified once", code));
            }
            Ok(_) => {}
            Err(error) if args.once_verified => return Err(error.context("cannot verify")),
            Err(error) => session.warn(format!("cannot verify: {error:#}")).await,
        }
    }
    session.tell_nodes().await;
    session.tell(Event::Up { ms: ms(since.elapsed()) }).await;
    session.follow_flows(style.pace());
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => return Ok((signal, ExitCode::SUCCESS)),
            () = tokio::time::sleep(watch::PACE) => {}
        }
        tokio::select! {
            biased;
            signal = signals.next() => return Ok((signal, ExitCode::SUCCESS)),
            () = session.reload_if_changed() => {}
        }
    }
}
