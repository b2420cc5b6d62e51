//! `ward-control`: reads its settings, starts the control plane, drains at SIGTERM.
use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use control::{
    Config,
    config::Flags,
    plane::ApplyError,
    server::{StartError, start},
};
use daemon::{Clock, Tasks, logs, signals};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ward-control: {error:#}");
            if let Some(StartError::Plane(ApplyError::Refused(found))) = error.downcast_ref() {
                for diagnostic in found {
                    eprintln!("  {}:{}: {}", diagnostic.file, diagnostic.line, diagnostic.message);
                }
                eprintln!(
                    "  this version of Ward refuses what an earlier one stored: start that one, or use a new --state"
                );
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let config = Config::from_flags(Flags::parse(), default_socket())?;
    logs::init(config.log, std::env::var("WARD_LOG").ok().as_deref());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let tasks = Tasks::new();
        let running = start(&config, Clock::system(), &tasks).await?;
        let signal = signals::terminated().await.context("cannot wait for signals")?;
        tracing::info!(signal, "draining");
        let finished = tasks.finish(config.drain_timeout).await;
        running.plane.store.close().await;
        tracing::info!(cut = finished.cut, "stopped");
        Ok(())
    })
}

/// Where the CLI looks when it is told nothing.
fn default_socket() -> Option<PathBuf> {
    let owned_by_root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if owned_by_root {
        return Some(PathBuf::from("/run/ward/control.sock"));
    }
    std::env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("ward/control.sock"))
}
