//! `ward run`: attaches one process by hand, on a machine that knows nothing but the control plane's address and a join
//! token. The sidecar is ready before the process starts and drains after it ended; the process's end is ours.
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::IsTerminal as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::Signal;
use serde_json::json;
use tokio::{process::Child, sync::mpsc, time::sleep};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    config::Environment,
    isolation::{Isolation, Place, make_dir, tools, wrap::Wrapper},
    supervise::{
        self, Ending, HOPELESS_FAILURES, Kept, Notice, Program, Restart, State, What, logs::with_tail, marks::Marks,
    },
    up::{Facts, Siblings, StopSignals, is_ready, of_application, of_own, sidecar_config, write_new},
};

/// How often readiness is asked for.
const READY_PACE: Duration = Duration::from_millis(100);
/// Longest the sidecar may take to drain.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Run one process of a node behind its own sidecar, given only a control plane's address and a join token
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  ward run --node orders --control 192.0.2.1:15012 --token-file token -- ./orders --verbose\n\n\
The process finds its port in PORT, its neighbours in WARD_<NODE>_URL or WARD_<NODE>_ADDR, and HTTP_PROXY.\n\n\
Exit codes: the process's own (128 and the number for a signal), or 2 when it could not be started"
)]
pub(crate) struct Args {
    /// The node that the process is
    #[arg(long)]
    node: String,
    /// Its instance, NODE/NUMBER [default: NODE/0]
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// The control plane, host:port
    #[arg(long, value_name = "ADDRESS")]
    control: String,
    /// File with a join token, needed until the sidecar holds an identity
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where peers reach the sidecar
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:15008")]
    mesh_address: SocketAddr,
    /// Where the sidecar opens the local ports of upstreams
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    outbound: IpAddr,
    /// The sidecar's admin port
    #[arg(long, value_name = "PORT", default_value_t = crate::isolation::ADMIN_PORT)]
    admin_port: u16,
    /// The sidecar's HTTP proxy port
    #[arg(long, value_name = "PORT", default_value_t = crate::isolation::HTTP_PROXY_PORT)]
    http_proxy_port: u16,
    /// State directory, for the sidecar's key and log [default: .ward/run/INSTANCE]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Seconds until the sidecar must be ready
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    ready_timeout: u64,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(attach(&args))
}

async fn attach(args: &Args) -> anyhow::Result<ExitCode> {
    let environment = Environment::read();
    let siblings = Siblings::find(&environment)?;
    tools::require(&[tools::SETPRIV])?;
    let instance = args.instance.clone().unwrap_or_else(|| format!("{}/0", args.node));
    let default = || PathBuf::from(".ward/run").join(instance.replace('/', "-"));
    let state = args.state.clone().unwrap_or_else(default);
    make_dir(&state, 0o700)?;
    let state = state.canonicalize().with_context(|| format!("cannot open {}", state.display()))?;
    let _lock = crate::isolation::lock(&state.join("run.lock"))?.with_context(|| {
        format!("another `ward run` uses {}: stop it, or choose another --instance or --state", state.display())
    })?;
    if let Some(file) = &args.token_file {
        std::fs::metadata(file).with_context(|| format!("cannot read the token file {}", file.display()))?;
    }
    let place = place(args);
    let wrapper = Wrapper { mounts: false, ..Wrapper::new(state.clone(), Vec::new()) };
    let mut signals = StopSignals::new()?;
    let tasks = TaskTracker::new();
    let (notices, told) = mpsc::channel(64);
    tasks.spawn(print(told));
    let config = state.join("ward-proxy.yaml");
    write_new(&config, settings(args, &instance, &place, &state)?.as_bytes(), 0o600)?;
    let label = format!("{instance} sidecar");
    let argv = [siblings.proxy.into_os_string(), "--config".into(), config.into_os_string()];
    let program = Program {
        label: label.clone(),
        argv: wrapper.own(None, &argv),
        env: of_own(&environment, &state, &label),
        dir: state.clone(),
        log: state.join("sidecar.log"),
        marks: Marks::of_process(&state, &label),
        second: false,
    };
    let log = program.log.clone();
    let sidecar = supervise::keep(program, Restart::Always, None, notices, &tasks);
    let outcome = tokio::select! {
        biased;
        signal = signals.next() => Err(anyhow::anyhow!("{signal} before the process was started")),
        ready = ready(&place, &sidecar, Duration::from_secs(args.ready_timeout), &log) => ready,
    };
    let outcome = match outcome {
        Ok(()) => run_process(args, &environment, &place, &wrapper, &state, &instance, &mut signals).await,
        Err(error) => Err(error),
    };
    drain(&sidecar).await;
    outcome.map(|ending| ExitCode::from(ending.exit_code()))
}

fn place(args: &Args) -> Place {
    Place {
        isolation: Isolation::Loopback,
        netns: None,
        mesh: args.mesh_address,
        admin: SocketAddr::new(args.outbound, args.admin_port),
        outbound: args.outbound,
        http_proxy: SocketAddr::new(args.outbound, args.http_proxy_port),
    }
}

fn settings(args: &Args, instance: &str, place: &Place, state: &Path) -> anyhow::Result<String> {
    let mut settings = json!({
        "workers": 1,
        "admin": place.admin,
        "inbound": place.mesh,
        "outbound_address": place.outbound,
        "http_proxy": place.http_proxy,
        "access_log": "stdout",
        "drain_timeout": "8s",
        "control": {
            "address": args.control,
            "node": args.node,
            "instance": instance,
            "state_dir": state,
            "mesh_address": place.mesh.to_string(),
            "isolation": place.isolation.as_str(),
        },
    });
    if let (Some(file), Some(control)) =
        (&args.token_file, settings.pointer_mut("/control").and_then(|c| c.as_object_mut()))
    {
        let file = std::path::absolute(file).with_context(|| format!("cannot use {}", file.display()))?;
        control.insert("token_file".into(), json!(file));
    }
    Ok(format!("{settings:#}\n"))
}

async fn ready(place: &Place, sidecar: &Kept, deadline: Duration, log: &Path) -> anyhow::Result<()> {
    let since = Clock::now();
    while !is_ready(place).await {
        let seconds = deadline.as_secs();
        let why = match sidecar.state() {
            State::Backoff { failures } if failures >= HOPELESS_FAILURES => "the sidecar does not stay up".to_owned(),
            _ if since.elapsed() > deadline => format!("the sidecar is not ready after {seconds} s"),
            _ => {
                sleep(READY_PACE).await;
                continue;
            }
        };
        bail!("{}", with_tail(&why, log));
    }
    Ok(())
}

async fn run_process(
    args: &Args,
    environment: &Environment,
    place: &Place,
    wrapper: &Wrapper,
    state: &Path,
    instance: &str,
    signals: &mut StopSignals,
) -> anyhow::Result<Ending> {
    let config = sidecar_config(place).await?;
    let ports: Vec<(u16, u16)> = config.services.iter().map(|service| (service.port, service.port)).collect();
    let none = BTreeMap::new();
    // Run by hand like any program, it gets the caller's environment.
    let environment = &Environment { passed: environment.everything.clone(), ..environment.clone() };
    let facts = Facts {
        ours: environment,
        place,
        upstreams: &config.upstreams,
        ports: &ports,
        user: None,
        data: None,
        declared: &none,
    };
    let mut env = of_application(&facts);
    Marks::set(&mut env, state, &format!("{instance} application"));
    let argv = wrapper.application(place, None, &BTreeMap::new(), &args.command);
    let mut child = supervise::foreground(&argv, &env, &environment.here)
        .and_then(|mut command| command.spawn())
        .with_context(|| format!("cannot start {}", args.command.first().cloned().unwrap_or_default().display()))?;
    wait(&mut child, signals).await
}

/// Waits for the process, passing on the signals that we get.
async fn wait(child: &mut Child, signals: &mut StopSignals) -> anyhow::Result<Ending> {
    loop {
        tokio::select! {
            biased;
            status = child.wait() => return Ok(Ending::of(status)),
            name = signals.next() => match name {
                // The terminal has sent it one already.
                "SIGINT" if std::io::stdin().is_terminal() => {}
                "SIGINT" => supervise::signal(child, Signal::INT),
                "SIGHUP" => supervise::signal(child, Signal::HUP),
                _ => supervise::signal(child, Signal::TERM),
            },
        }
    }
}

async fn drain(sidecar: &Kept) {
    sidecar.stop(DRAIN_DEADLINE).await;
}

/// What happens to the sidecar, on standard error: standard output belongs to the process.
async fn print(mut told: mpsc::Receiver<Notice>) {
    let since = Clock::now();
    while let Some(Notice { label, log, what }) = told.recv().await {
        let seconds = since.elapsed().as_secs();
        match what {
            What::Ended { ending, .. } => {
                eprintln!("ward run: {label} {ending} after {seconds} s and is started again; log {}", log.display());
            }
            What::Unstartable { error, .. } => eprintln!("ward run: {error}"),
            What::Stopped { forced: true, .. } => eprintln!("ward run: {label} did not drain in time and was killed"),
            What::Started { .. } | What::Stopped { .. } => {}
        }
    }
}
