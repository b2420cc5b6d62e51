//! `ward`: the operator's tool. Each subcommand is a module with `Args` and `run`; this file only lists them.
//!
//! Exit codes, everywhere: 0 nothing to complain about, 1 findings or errors in what was asked about, 2 the question
//! could not be answered (a file cannot be read, wrong usage, no control plane).
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

mod api_client;
mod apply;
mod check;
mod clock;
mod columns;
mod compliance;
mod config;
mod decisions;
mod diagnostics;
mod explain;
mod export;
mod flows;
mod graph;
mod import;
mod init;
mod isolation;
mod model_dir;
mod nodes;
mod online;
mod output;
mod paths;
mod policy;
mod posture;
mod progress;
mod run;
mod supervise;
mod token;
mod up;
mod verify;

/// The data-flow diagram that enforces itself.
#[derive(Parser)]
#[command(name = "ward", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Check(check::Args),
    Graph(graph::Args),
    Export(export::Args),
    Import(import::Args),
    Policy(policy::Args),
    Posture(posture::Args),
    Paths(paths::Args),
    Compliance(compliance::Args),
    Explain(explain::Args),
    Up(up::Args),
    Run(run::Args),
    Verify(verify::Args),
    Apply(apply::Args),
    Nodes(nodes::Args),
    Flows(flows::Args),
    Decisions(decisions::Args),
    Token(token::Args),
    Completions(Completions),
}

/// Print shell completions
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward completions bash > /etc/bash_completion.d/ward")]
struct Completions {
    /// For which shell
    shell: clap_complete::Shell,
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Init(args) => init::run(args),
        Command::Check(args) => check::run(args),
        Command::Graph(args) => graph::run(args),
        Command::Export(args) => export::run(args),
        Command::Import(args) => import::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Posture(args) => posture::run(args),
        Command::Paths(args) => paths::run(args),
        Command::Compliance(args) => compliance::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Up(args) => up::run(args),
        Command::Run(args) => run::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Apply(args) => apply::run(args),
        Command::Nodes(args) => nodes::run(args),
        Command::Flows(args) => flows::run(args),
        Command::Decisions(args) => decisions::run(args),
        Command::Token(args) => token::run(args),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "ward", &mut script);
            output::print(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {}", output::visible(&format!("{error:#}")));
        ExitCode::from(output::CANNOT)
    })
}
