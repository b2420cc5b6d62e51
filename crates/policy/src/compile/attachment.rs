//! What a document may be attached to: the same for policies and for those that say whose tokens count.
use model::istio::{Selector, TargetRef};

use super::select::{GATEWAY_API, faulty_label};
use crate::{Semantics, Workload};

/// Most `targetRefs` (Istio API).
const TARGETS_MAX: usize = 16;

/// A document, as far as it says what it is attached to.
#[derive(Clone, Copy)]
pub(crate) struct Attachment<'a> {
    pub(crate) selector: Option<&'a Selector>,
    pub(crate) targets: &'a [TargetRef],
    /// The document's own.
    pub(crate) namespace: &'a str,
}

/// What is wrong there.
pub(crate) struct AttachmentFault {
    pub(crate) field: String,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Attachment<'_> {
    /// Everything that is wrong; `noun` is what the document is called.
    pub(crate) fn faults(&self, semantics: Semantics, workload: &Workload, noun: &str) -> Vec<AttachmentFault> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: String, help: String| {
            faults.push(AttachmentFault { field: field.to_owned(), message, help });
        };
        if self.targets.len() > TARGETS_MAX {
            fault("spec.targetRefs", format!("more than {TARGETS_MAX} targets"), format!("split the {noun}"));
        }
        if !self.targets.is_empty() && self.selector.is_some() {
            let message = "targetRefs and selector exclude each other".to_owned();
            fault("spec.targetRefs", message, "keep one of them".to_owned());
        }
        for (name, value) in self.selector.iter().flat_map(|selector| &selector.match_labels) {
            if faulty_label(name, value) {
                let message = "a label is compared whole, without wildcards".to_owned();
                fault(
                    &format!("spec.selector.matchLabels[{name}]"),
                    message,
                    "write the label's full value".to_owned(),
                );
            }
        }
        for (i, target) in self.targets.iter().enumerate() {
            let at = format!("spec.targetRefs[{i}]");
            if target.name.is_empty() {
                fault(&at, "a target needs a name".to_owned(), "name it".to_owned());
            }
            if target.namespace.as_deref().is_some_and(|other| other != self.namespace && !other.is_empty()) {
                let message = format!("a target stands in the namespace of its {noun}");
                fault(&at, message, "leave `namespace` out".to_owned());
            }
            match (target.group.as_str(), target.kind.as_str()) {
                (GATEWAY_API, "GatewayClass") if self.namespace != workload.root_namespace => {
                    let help = format!("move the {noun} into namespace {}", workload.root_namespace);
                    fault(&at, "only the root namespace speaks for a GatewayClass".to_owned(), help);
                }
                (GATEWAY_API, "Gateway" | "GatewayClass") | ("" | "core", "Service") => {}
                ("networking.istio.io", "ServiceEntry") if semantics == Semantics::Istio => {}
                (group, kind) => {
                    let help = "name a Service, or a Gateway of gateway.networking.k8s.io".to_owned();
                    fault(&at, format!("a {noun} cannot be attached to `{kind}` of `{group}`"), help);
                }
            }
        }
        faults
    }
}
