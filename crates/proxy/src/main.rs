//! `ward-proxy --config FILE`: reads the settings, starts the workers, and drains at SIGTERM.
use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use daemon::{Clock, Tasks, logs, signals};
use proxy::{Proxy, Settings, control_link};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The data plane of Ward: sidecar, gateway, egress.
#[derive(Parser)]
#[command(
    name = "ward-proxy",
    version,
    after_help = "Example:\n  ward-proxy --config /etc/ward/proxy.yaml\n\n\
    Exit codes: 0 drained, 1 failed, 2 bad settings or flags."
)]
struct Args {
    /// Settings, YAML (docs/proxy.md).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Read and compile the configuration, say what is wrong, and exit.
    #[arg(long)]
    check: bool,
    /// What to log: `info`, `proxy=debug,info`, …
    #[arg(long, env = "WARD_LOG", default_value = "info")]
    log: String,
    /// Log for people instead of machines.
    #[arg(long)]
    log_text: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let format = if args.log_text { logs::Format::Text } else { logs::Format::Json };
    logs::init(format, Some(&args.log));
    let settings = match Settings::read(&args.config) {
        Ok(settings) => settings,
        Err(error) => return fail(2, &error),
    };
    match run(settings, args.check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, error.as_ref()),
    }
}

fn fail(code: u8, error: &(dyn std::error::Error + 'static)) -> ExitCode {
    tracing::error!(error = %logs::chain(error), "ward-proxy stops");
    ExitCode::from(code)
}

fn run(settings: Settings, check: bool) -> anyhow::Result<()> {
    if check {
        let (resources, identity) = (settings.static_resources()?, settings.static_identity()?);
        proxy::snapshot::compile(&resources, &identity, &settings).map_err(refused)?;
        return Ok(());
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    let proxy = Proxy::new(settings, Clock::system(), tasks.clone())?;
    if let Some(address) = proxy.settings().admin {
        let bound = proxy::admin::serve(&proxy, address).await;
        let bound = bound.with_context(|| format!("admin: cannot listen on {address}"))?;
        tracing::info!(address = %bound, "admin port open");
    }
    proxy.start()?;
    if proxy.settings().resources.is_some() {
        let resources = proxy.settings().static_resources()?;
        let identity = proxy.settings().static_identity()?;
        let revision = proxy.apply(&resources, &identity).map_err(refused)?;
        proxy::records::log_decisions(&proxy);
        for (kind, address) in proxy.addresses() {
            tracing::info!(?kind, %address, "listening");
        }
        tracing::info!(revision, node = resources.workload.node, identity = %identity.svid.id, "configuration in force");
    }
    let mut link = match proxy.settings().control {
        Some(_) => Some(control_link::start(proxy.clone())?),
        None => None,
    };
    let failed = async {
        match &mut link {
            Some(link) => link.failed().await,
            None => std::future::pending().await,
        }
    };
    let drain = tasks.drain().clone();
    let ended = tokio::select! {
        signal = signals::terminated() => signal.map(|signal| tracing::info!(signal, "draining")).map_err(Into::into),
        () = drain.stopping() => Ok(()),
        error = failed => Err(anyhow::Error::from(error)),
    };
    let finished = proxy.shutdown().await;
    tracing::info!(cut = finished.cut, "drained");
    if let Some(link) = link {
        link.finish().await;
    }
    ended
}

fn refused(errors: Vec<proxy::snapshot::Error>) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("configuration refused: {}", lines.join("; "))
}
