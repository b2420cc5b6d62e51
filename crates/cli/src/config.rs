//! What the tool reads from its environment, once; everything else is an argument.
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Where the system's own programs are, whatever a user's PATH says.
pub(crate) const SYSTEM_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin";
/// Variables that are passed on to processes we start; all others stay with us, for they may be secrets.
const PASSED: [&str; 8] = ["LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "RUST_LOG", "RUST_BACKTRACE", "TERM"];

/// The environment.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// PATH and the system's directories behind it.
    pub(crate) path: OsString,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) xdg_runtime_dir: Option<PathBuf>,
    /// `HOME`.
    pub(crate) home: Option<OsString>,
    /// What is passed on to processes we start.
    pub(crate) passed: BTreeMap<String, OsString>,
    /// All of it, for a process that is run by hand.
    pub(crate) everything: BTreeMap<String, OsString>,
    /// The working directory.
    pub(crate) here: PathBuf,
    /// The directory of our own executable, where the other programs are looked for first.
    pub(crate) own_dir: Option<PathBuf>,
}

impl Environment {
    /// Reads it.
    pub(crate) fn read() -> Self {
        let mut path = std::env::var_os("PATH").filter(|path| !path.is_empty()).unwrap_or_default();
        if !path.is_empty() {
            path.push(":");
        }
        path.push(SYSTEM_PATH);
        let passed = PASSED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?))).collect();
        Self {
            path,
            xdg_runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            home: std::env::var_os("HOME"),
            passed,
            everything: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
            here: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            own_dir: std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned)),
        }
    }

    /// A program of ours: beside this one, else in PATH.
    pub(crate) fn sibling(&self, program: &str) -> Option<PathBuf> {
        let beside = self.own_dir.as_deref().map(|dir| dir.join(program));
        beside
            .into_iter()
            .chain(std::env::split_paths(&self.path).map(|dir| dir.join(program)))
            .find(|path| is_executable(path))
    }
}

/// Whether whoever runs us wants no colours (no-color.org).
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether a path is a file that somebody may execute.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
