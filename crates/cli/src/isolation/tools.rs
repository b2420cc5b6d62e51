//! The system's own tools that `ward up` calls, the packages that bring them, and how they are called.
use std::{ffi::OsStr, io, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use crate::config::{SYSTEM_PATH, is_executable};

/// Longest a tool may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A tool and the Debian package that brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    /// Its program.
    pub(crate) program: &'static str,
    /// Its Debian package.
    pub(crate) package: &'static str,
}

/// `ip`.
pub(crate) const IP: Tool = Tool { program: "ip", package: "iproute2" };
/// `nft`.
pub(crate) const NFT: Tool = Tool { program: "nft", package: "nftables" };
/// `setpriv`.
pub(crate) const SETPRIV: Tool = Tool { program: "setpriv", package: "util-linux" };
/// `mount`.
pub(crate) const MOUNT: Tool = Tool { program: "mount", package: "mount" };

/// Checks that tools are installed, all at once.
///
/// # Errors
/// Names the missing ones and the packages to install.
pub(crate) fn require(tools: &[Tool]) -> anyhow::Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| find(tool.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    bail!("not installed: {}; on Debian: apt-get install {}", names.join(", "), packages.join(" "))
}

/// The tool's path in the system's directories: a user's PATH often lacks some of them.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    in_path(program, OsStr::new(SYSTEM_PATH))
}

/// A program by name in PATH.
pub(crate) fn in_path(program: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|dir| dir.join(program)).find(|path| is_executable(path))
}

/// Runs a tool with `input` on its standard input and returns what it prints.
///
/// # Errors
/// It cannot be started, takes too long, or fails; the error holds what it said.
pub(crate) async fn call(tool: Tool, args: &[&str], input: &str) -> anyhow::Result<String> {
    let line = || format!("{} {}", tool.program, args.join(" "));
    let path = find(tool.program)
        .with_context(|| format!("{} is not installed; on Debian: apt-get install {}", tool.program, tool.package))?;
    let run = async {
        let mut child = Command::new(path)
            .args(args)
            .env("PATH", SYSTEM_PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C in the terminal must not break what cleans up after it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = match timeout(DEADLINE, run).await {
        Ok(output) => output.with_context(|| format!("cannot run `{}`", line()))?,
        Err(_) => {
            let late = io::Error::from(io::ErrorKind::TimedOut);
            return Err(late).with_context(|| format!("`{}` took longer than {DEADLINE:?}", line()));
        }
    };
    if !output.status.success() {
        bail!("`{}` failed: {}", line(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
