//! The machine: whoever has docker's socket, or a container that is not confined, controls the machine and all containers on it.
use std::collections::BTreeSet;

use super::{Project, secrets::mounts};
use crate::draft::Kind;

/// Capabilities that are as good as the machine.
const CAPABILITIES: [&str; 6] = ["ALL", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH"];

impl Project<'_, '_> {
    /// Adds the machine as a node, where a service has power over it.
    pub(super) fn hosts(&mut self) {
        let powerful: Vec<(String, String, String)> =
            (0..self.services.len()).filter_map(|at| self.power(at)).collect();
        if powerful.is_empty() {
            return;
        }
        let zone_key = self.key("machine", "");
        let zone =
            self.draft.zone(&zone_key, "machine").comment("the machine that the containers run on").name().to_owned();
        let networks: BTreeSet<String> = self.services.iter().flat_map(|s| s.networks.iter().cloned()).collect();
        for network in networks {
            if network != zone
                && let Some(noun) = self.draft.named(Kind::Zone, &network)
            {
                noun.guess("in", zone.as_str(), "its containers run on the machine");
            }
        }
        let node = self.draft.node(&zone_key, "docker");
        let docker = node.name().to_owned();
        node.comment("the engine: whoever may start containers may start one that has the whole machine");
        node.set("kind", "service").set("zone", zone).set("privilege", "admin");
        node.guess("auth", "key", "only who has its socket, or breaks out of a container that is not confined");
        let datum = self.draft.data(&zone_key, "containers");
        datum.comment("what runs on the machine, and as whom");
        datum.guess("class", "internal", "whoever decides it has the machine").set("of", "manifest");
        let containers = datum.name().to_owned();
        for (service, place, why) in powerful {
            if let Some(noun) = self.draft.named(Kind::Node, &service) {
                noun.comment(format!("{place}: {why}"));
            }
            let key = format!("call:{service}>{docker}");
            let flow = self.draft.flow(&key, &format!("{service}-{docker}"), &service, &docker);
            flow.comment(format!("{place}: {why}")).via("local", true);
            flow.guess_add("carries", containers.as_str(), "it may start any container, with all of the machine in it");
        }
    }

    /// The power of a service over the machine: where it is written, and what it is.
    fn power(&self, at: usize) -> Option<(String, String, String)> {
        let service = self.services.get(at)?;
        let found = |part: &super::Part<'_>, tree: &model::tree::Tree, why: &str| {
            Some((service.node.clone(), part.document.place(tree), why.to_owned()))
        };
        for (part, tree) in service.each(&["volumes"]) {
            for (item, (source, _)) in tree.items().iter().zip(mounts(tree)) {
                if source.ends_with("docker.sock")
                    || source.ends_with("podman.sock")
                    || source.ends_with("containerd.sock")
                {
                    return found(&part, item, "it has docker's socket, and so the machine");
                }
                if source == "/" {
                    return found(&part, item, "it has the files of the whole machine");
                }
            }
        }
        for (part, tree) in service.each(&["privileged"]) {
            if tree.bool() == Some(true) {
                return found(&part, tree, "it is privileged, and so not confined");
            }
        }
        for (part, tree) in service.each(&["pid"]) {
            if tree.text() == Some("host") {
                return found(&part, tree, "it sees the processes of the machine");
            }
        }
        for (part, tree) in service.each(&["cap_add"]) {
            let strong = tree.items().iter().find(|c| {
                let name = c.text().unwrap_or_default().to_ascii_uppercase();
                CAPABILITIES.contains(&name.trim_start_matches("CAP_"))
            });
            if let Some(item) = strong {
                return found(&part, item, "it has a capability that is as good as the machine");
            }
        }
        None
    }
}
