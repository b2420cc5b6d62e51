//! Escapes: pods that are given so much of their machine that whoever is in them controls it.
use model::tree::Tree;

use super::workload::Workload;

/// Paths of the machine that, written to or talked to, control it.
const WRITABLE: &[&str] = &[
    "/",
    "/etc",
    "/root",
    "/home",
    "/usr",
    "/usr/bin",
    "/usr/local/bin",
    "/bin",
    "/sbin",
    "/opt/cni/bin",
    "/etc/cni",
    "/etc/cni/net.d",
    "/etc/kubernetes",
    "/etc/kubernetes/manifests",
    "/var",
    "/var/lib",
    "/var/lib/kubelet",
    "/var/lib/docker",
    "/var/run",
    "/run",
    "/dev",
    "/proc",
    "/boot",
    "/lib/modules",
    "/var/spool/cron",
    "/etc/cron.d",
    "/etc/systemd",
];

/// Sockets that run containers for whoever asks; one need not write to a file to talk to them.
const SOCKETS: &[&str] = &["docker.sock", "containerd.sock", "crio.sock", "cri-dockerd.sock", "podman.sock"];

/// Capabilities that are as good as being root on the machine.
const CAPABILITIES: &[&str] = &["ALL", "SYS_ADMIN", "SYS_MODULE", "DAC_READ_SEARCH", "SYS_RAWIO", "BPF"];

/// Why whoever is in the pods of a workload controls their machine. Empty: nothing says that.
pub(super) fn escapes(workload: &Workload<'_>) -> Vec<String> {
    let mut why = Vec::new();
    let pod = |key| workload.pod.get(key).and_then(Tree::bool) == Some(true);
    for container in workload.containers() {
        let name = container.text_at(&["name"]).unwrap_or("container");
        let context = container.get("securityContext");
        if context.and_then(|c| c.get("privileged")).and_then(Tree::bool) == Some(true) {
            why.push(format!("{name} is privileged"));
        }
        for capability in context.map_or(&[][..], |c| c.items_at(&["capabilities", "add"])) {
            let word = capability.text().unwrap_or_default().trim_start_matches("CAP_");
            // Under another user than root, an added capability is not effective; most images run as root.
            if CAPABILITIES.contains(&word) {
                why.push(format!("{name} has the capability {word}"));
            } else if word == "SYS_PTRACE" && pod("hostPID") {
                why.push(format!("{name} may trace the machine's processes (hostPID and SYS_PTRACE)"));
            }
        }
        for mount in container.items_at(&["volumeMounts"]) {
            let volume =
                workload.pod.items_at(&["volumes"]).iter().find(|v| v.text_at(&["name"]) == mount.text_at(&["name"]));
            let Some(path) = volume.and_then(|v| v.text_at(&["hostPath", "path"])) else { continue };
            let read_only = mount.get("readOnly").and_then(Tree::bool) == Some(true);
            let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { path };
            let socket = SOCKETS.iter().any(|s| trimmed.ends_with(s));
            if socket || !read_only && WRITABLE.contains(&trimmed) {
                why.push(format!("{name} mounts {path} of the machine{}", if socket { "" } else { " to write to" }));
            }
        }
    }
    why.sort();
    why.dedup();
    why
}

/// What else of the machine a workload is given, which by itself is no control of it.
pub(super) fn shares(workload: &Workload<'_>) -> Vec<&'static str> {
    let pod = |key| workload.pod.get(key).and_then(Tree::bool) == Some(true);
    let all = [
        ("hostNetwork", "hostNetwork: it has the machine's network"),
        ("hostPID", "hostPID: it sees the machine's processes"),
        ("hostIPC", "hostIPC: it shares memory with the machine's processes"),
    ];
    all.into_iter().filter(|(key, _)| pod(key)).map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests;
