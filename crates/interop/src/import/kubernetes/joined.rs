//! What a plan says of the same cluster: manifests beside the only cluster of a plan are of that one, and what its balancer
//! leads to is the workload that they put behind it.
use std::collections::BTreeSet;

use super::{Cluster, Modelling, secret::Keeping};
use crate::draft::{Draft, Kind};

/// Takes the only cluster of a plan for the one that manifests are of. Of several nobody says which it is.
pub(super) fn cluster(cluster: &Cluster<'_>, draft: &mut Draft) {
    if draft.find(Kind::Zone, "cloud-cluster:1").is_none() {
        return;
    }
    if draft.find(Kind::Zone, "cloud-cluster:2").is_some() {
        let place = cluster.objects.first().map(super::object::Object::place).unwrap_or_default();
        let why = "the plan has several clusters, and manifests do not say which one they are of: import them beside a plan \
                   of that cluster alone, or write `in` of the zone `cluster`";
        return draft.left_out(place, "the cluster of these manifests", why);
    }
    draft.alias(Kind::Zone, "cloud-cluster:1", "k8s:cluster");
    draft.alias(Kind::Node, "cloud-cluster-api:1", "k8s:api");
    draft.alias(Kind::Node, "cloud-cluster-secrets:1", "k8s:secrets");
    draft.alias(Kind::Node, "internet-users", "party:anybody");
    draft
        .zone("k8s:cluster", "cluster")
        .comment("the only cluster of the plan: the manifests are taken to be of this one");
}

/// What a plan states of how Secrets are kept.
pub(super) fn keeping(keeping: &mut Keeping, draft: &Draft) {
    let stated = draft.find(Kind::Node, "k8s:secrets").filter(|s| s.is_known("at_rest"));
    if stated.is_some_and(|s| s.text("at_rest") == Some("kms")) {
        keeping.at_rest = ("kms", None);
    }
    keeping.audited |= draft.find(Kind::Node, "k8s:api").is_some_and(|api| api.get("logs").is_some());
}

impl Modelling<'_> {
    /// Takes the workload that manifests put behind AWS's balancer for what registers itself with the only balancer of the plan
    /// that nothing else stands behind.
    pub(super) fn balancer(&self, draft: &mut Draft) {
        let is_one = |key: &str| {
            draft.find(Kind::Node, &format!("{key}:1")).is_some()
                && draft.find(Kind::Node, &format!("{key}:2")).is_none()
        };
        if draft.find(Kind::Zone, "k8s:cluster").is_none() || !is_one("cloud-target") {
            return;
        }
        let bindings: Vec<_> = self.cluster.of_kind("elbv2.k8s.aws", "TargetGroupBinding").collect();
        let class = |o: &super::object::Object<'_>| {
            let said = o.tree.text_at(&["spec", "ingressClassName"]);
            said.or_else(|| o.annotation("kubernetes.io/ingress.class")) == Some("alb")
        };
        let ingresses: Vec<_> = self.cluster.objects.iter().filter(|o| o.kind == "Ingress" && class(o)).collect();
        let (object, services) = match (bindings.as_slice(), ingresses.as_slice()) {
            ([one], []) => (*one, one.tree.text_at(&["spec", "serviceRef", "name"]).into_iter().collect()),
            ([], [one]) => (*one, backends(one.tree)),
            _ => return,
        };
        let services: BTreeSet<&str> = services;
        let [service] = Vec::from_iter(services)[..] else { return };
        let targets = self.cluster.service(service, object.namespace).and_then(|at| self.cluster.services.get(at));
        let [target] = targets.map_or(&[][..], |s| s.targets.as_slice()) else { return };
        let Some(of) = self.cluster.workloads.get(*target).map(|w| w.object) else { return };
        draft.alias(Kind::Node, "cloud-target:1", &format!("k8s:{}/{}/{}", of.kind, of.namespace, of.name));
        if object.kind == "Ingress" {
            draft.alias(Kind::Node, "cloud-balancer:1", "k8s:ingress/alb");
        }
        draft.node("cloud-target:1", "").comment(format!(
            "{}: the only one, and the only target group of the plan in which nothing is: taken to be the same",
            object.title()
        ));
    }
}

/// The Services that an Ingress passes requests on to.
fn backends(ingress: &model::tree::Tree) -> BTreeSet<&str> {
    let paths = ingress.items_at(&["spec", "rules"]).iter().flat_map(|r| r.items_at(&["http", "paths"]));
    let of = paths.filter_map(|p| p.get("backend")).chain(ingress.at(&["spec", "defaultBackend"]));
    of.filter_map(|b| b.text_at(&["service", "name"])).collect()
}
