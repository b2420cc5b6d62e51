//! How programs are wrapped: `ip netns exec`, `setpriv` and, for applications, a mount that hides the sidecars' keys.
//! What is added is only ever less privilege; nothing here starts anything.
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::{Place, reach, tools};
use crate::config::is_executable;

/// CAP_NET_ADMIN and CAP_SYS_ADMIN, by their bit numbers in `linux/capability.h`.
const NAMESPACE_CAPABILITIES: [u32; 2] = [12, 21];

/// An operating-system user an application runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Login name.
    pub(crate) name: String,
    /// User id.
    pub(crate) uid: u32,
    /// Primary group.
    pub(crate) gid: u32,
    /// Home directory.
    pub(crate) home: PathBuf,
}

impl User {
    /// Looks a user up.
    ///
    /// # Errors
    /// There is no such user.
    pub(crate) async fn find(name: &str) -> anyhow::Result<Self> {
        const GETENT: tools::Tool = tools::Tool { program: "getent", package: "libc-bin" };
        let line = tools::call(GETENT, &["passwd", "--", name], "").await.unwrap_or_default();
        Self::parse(line.lines().next().unwrap_or_default())
            .with_context(|| format!("there is no user `{name}` on this machine: create it, or change `run.user`"))
    }

    /// Reads a line of passwd(5).
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?.into();
        Some(Self { name, uid, gid, home })
    }
}

/// Who runs `ward up`, and what is hidden from applications.
#[derive(Clone, Debug)]
pub(crate) struct Wrapper {
    /// Whether we are root and can give privileges away.
    pub(crate) root: bool,
    /// Whether we may make mount namespaces.
    pub(crate) mounts: bool,
    /// The directory with keys, tokens and the control plane's store.
    pub(crate) private: PathBuf,
    /// What applications must be able to reach, absolute: the directory they start in, then others.
    pub(crate) paths: Vec<PathBuf>,
}

impl Wrapper {
    /// For this process.
    pub(crate) fn new(private: PathBuf, paths: Vec<PathBuf>) -> Self {
        let root = rustix::process::geteuid().is_root();
        Self { root, mounts: root && can_make_namespaces(), private, paths }
    }

    /// Ward's own programs: die with us, gain nothing. As root a sidecar keeps the right to read files of others and
    /// to listen on low ports, and by that stays out of reach of `ptrace` by an application of the same user.
    pub(crate) fn own(&self, place: Option<&Place>, argv: &[OsString]) -> Vec<OsString> {
        let mut out = enter(place);
        push(&mut out, &["setpriv", "--pdeathsig", "KILL", "--no-new-privs"]);
        if self.root {
            push(&mut out, &["--inh-caps=-all", "--bounding-set=-all,+dac_override,+net_bind_service"]);
        }
        out.extend(argv.iter().cloned());
        out
    }

    /// Whether applications in `place` see no process but their own: user ids alone do not keep two applications of one
    /// user apart, and whoever may trace a process has its network namespace, and by that its identity.
    pub(crate) fn own_processes(&self, place: &Place) -> bool {
        self.mounts && place.netns.is_some()
    }

    /// An application: no capability at all, no way to gain one, another user when the model names one, the private
    /// directory covered by an empty file system, and processes of its own ([`Wrapper::own_processes`]), of which the
    /// application is number 2 and carries `marks`. Without root only the way to gain privileges is closed.
    pub(crate) fn application(
        &self,
        place: &Place,
        user: Option<&User>,
        marks: &BTreeMap<String, OsString>,
        argv: &[OsString],
    ) -> Vec<OsString> {
        let mut out = enter(Some(place));
        if self.mounts {
            if out.is_empty() {
                push(&mut out, &["unshare", "--mount", "--propagation", "slave", "--"]);
            }
            self.open_the_way(&mut out, user);
            // `ip netns exec` made a mount namespace of its own, so this is seen by the application only.
            let cover = r#"mount -t tmpfs -o ro,size=4k,mode=0 ward "$1" && shift && exec "$@""#;
            push(&mut out, &["sh", "-c", cover, "ward"]);
            out.push(self.private.clone().into_os_string());
        }
        if self.own_processes(place) {
            push(&mut out, &["setpriv", "--pdeathsig", "KILL"]);
            push(&mut out, &["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]);
        }
        push(&mut out, &["setpriv", "--pdeathsig", "KILL", "--no-new-privs"]);
        if self.root {
            push(&mut out, &["--inh-caps=-all", "--bounding-set=-all"]);
        }
        if let (true, Some(user)) = (self.root, user) {
            let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
            push(&mut out, &["--reuid", &uid, "--regid", &gid, "--init-groups"]);
        }
        if self.own_processes(place) {
            // Number 1 cannot be the application: the kernel ignores signals to it that it does not handle. When it ends,
            // everything in there is killed. The trap keeps it from ending before the application does.
            push(&mut out, &["sh", "-c", r#"trap : TERM INT HUP; "$@"; exit $?"#, "ward", "env"]);
            out.extend(marks.iter().map(|(name, value)| {
                let mut variable = OsString::from(format!("{name}="));
                variable.push(value);
                variable
            }));
        }
        out.extend(argv.iter().cloned());
        out
    }

    /// For a user that may not walk to the model, e.g. of a clone below root's home.
    fn open_the_way(&self, out: &mut Vec<OsString>, user: Option<&User>) {
        let closed = user.map(|user| reach::closed(user, &self.paths)).unwrap_or_default();
        let (Some(start), false) = (self.paths.first(), closed.is_empty()) else { return };
        push(out, &["sh", "-c", reach::OPEN, "ward"]);
        out.push(start.clone().into_os_string());
        for closed in closed {
            out.push(closed.dir.into_os_string());
            out.extend(closed.keep);
            push(out, &["/"]);
        }
        push(out, &["--"]);
    }
}

fn enter(place: Option<&Place>) -> Vec<OsString> {
    let mut out = Vec::new();
    if let Some(netns) = place.and_then(|place| place.netns.as_deref()) {
        push(&mut out, &["ip", "netns", "exec", netns]);
    }
    out
}

fn push(out: &mut Vec<OsString>, words: &[&str]) {
    out.extend(words.iter().map(OsString::from));
}

/// Whether this process has the capabilities that namespaces and links need.
pub(crate) fn can_make_namespaces() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).is_some_and(|have| NAMESPACE_CAPABILITIES.iter().all(|bit| have & (1 << bit) != 0))
}

/// The effective capabilities in `/proc/<pid>/status`.
pub(crate) fn effective(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

/// The program of a model's command as it is started in the model directory: with a `/` relative to that directory,
/// a plain name in the directory first and then in PATH.
///
/// # Errors
/// It is not there, or not executable; the error says where it was looked for.
pub(crate) fn resolve(dir: &Path, program: &str, path: &std::ffi::OsStr) -> anyhow::Result<OsString> {
    let here = dir.join(program);
    if program.contains('/') {
        return match fs::metadata(&here) {
            // Relative stays relative: the process starts in the model directory, and needs no right to walk there.
            Ok(_) if is_executable(&here) => Ok(program.into()),
            Ok(_) => bail!("{} is not executable: chmod +x it", here.display()),
            Err(error) => Err(error).with_context(|| format!("cannot find {}: build or copy it there", here.display())),
        };
    }
    if is_executable(&here) {
        return Ok(format!("./{program}").into());
    }
    match tools::in_path(program, path) {
        Some(found) => Ok(found.into_os_string()),
        None => bail!("`{program}` is neither in {} nor in PATH: install it, or write ./{program}", dir.display()),
    }
}
