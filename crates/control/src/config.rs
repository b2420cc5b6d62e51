//! Settings of the process: a file, then the environment, then flags. Read once, by `main`.
use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use daemon::{SettingsError, logs::Format, settings};
use serde::Deserialize;

/// Where proxies connect unless told otherwise: this machine only.
const LISTEN: &str = "127.0.0.1:15012";

/// Flags of `ward-control`.
#[derive(Parser, Debug, Default)]
#[command(
    name = "ward-control",
    version,
    about = "Ward's control plane: certificate authority, configuration, API",
    after_help = "Example:\n  ward-control --state /var/lib/ward --listen 0.0.0.0:15012 --socket /run/ward/control.sock\n\n\
Exit codes: 0 drained after a signal, 1 cannot start, 2 wrong usage.\n\
Environment: WARD_LOG filters the log (info, control=debug,info)."
)]
pub struct Flags {
    /// YAML file with the settings below; the environment and flags win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the state: certificate authority and database. Made (0700) when missing.
    #[arg(long, value_name = "DIR", env = "WARD_STATE")]
    pub state: Option<PathBuf>,
    /// Address that proxies connect to [default: 127.0.0.1:15012].
    #[arg(long, value_name = "IP:PORT", env = "WARD_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Unix socket of the operator's API [default: /run/ward/control.sock as root, else $XDG_RUNTIME_DIR/ward/control.sock].
    #[arg(long, value_name = "PATH", env = "WARD_SOCKET")]
    pub socket: Option<PathBuf>,
    /// Form of the log lines: json or text.
    #[arg(long, value_name = "FORMAT", value_parser = log_format)]
    pub log: Option<Format>,
}

/// The settings file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    state: Option<PathBuf>,
    listen: Option<SocketAddr>,
    socket: Option<PathBuf>,
    log: Option<Format>,
    drain_timeout_s: Option<u64>,
}

/// The settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of the state.
    pub state: PathBuf,
    /// Where proxies connect.
    pub listen: SocketAddr,
    /// The API's socket.
    pub socket: PathBuf,
    /// Form of the log.
    pub log: Format,
    /// How long a drain may take.
    pub drain_timeout: Duration,
}

impl Config {
    /// Joins file, environment and flags. `default_socket` is what holds when none of them names a socket.
    ///
    /// # Errors
    /// An unreadable file, or a setting that is missing.
    pub fn from_flags(flags: Flags, default_socket: Option<PathBuf>) -> Result<Self, SettingsError> {
        let file: Document = flags.config.as_deref().map(settings::read).transpose()?.unwrap_or_default();
        let missing = |field: &str, remedy: &str| SettingsError::invalid(field, format!("is missing: {remedy}"));
        let listen = match flags.listen.or(file.listen) {
            Some(listen) => listen,
            None => LISTEN.parse().map_err(|_| missing("listen", "give --listen IP:PORT"))?,
        };
        Ok(Self {
            state: flags.state.or(file.state).ok_or_else(|| missing("state", "give --state DIR or WARD_STATE"))?,
            listen,
            socket: flags
                .socket
                .or(file.socket)
                .or(default_socket)
                .ok_or_else(|| missing("socket", "give --socket PATH or WARD_SOCKET"))?,
            log: flags.log.or(file.log).unwrap_or_default(),
            drain_timeout: Duration::from_secs(file.drain_timeout_s.unwrap_or(10)),
        })
    }
}

fn log_format(word: &str) -> Result<Format, String> {
    match word {
        "json" => Ok(Format::Json),
        "text" => Ok(Format::Text),
        _ => Err(format!("`{word}` is not a log format: use json or text")),
    }
}
