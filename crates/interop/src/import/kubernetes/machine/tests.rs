//! What of the machine a pod is given, and whether that is control of it.
use expect_test::{Expect, expect};
use model::tree::Tree;

use super::{super::cluster::Cluster, *};
use crate::import::Document;

fn check(spec: &str, expected: Expect) {
    let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: p }}\nspec: {spec}\n");
    let tree = Tree::yaml(&text).unwrap().remove(0);
    let documents = [Document { file: "p.yaml", tree }];
    let cluster = Cluster::new(&documents);
    expected.assert_eq(&cluster.workloads.iter().flat_map(escapes).collect::<Vec<_>>().join(", "));
}

#[test]
fn what_controls_the_machine_and_what_does_not() {
    let mount = |path: &str, more: &str| {
        format!(
            "{{ containers: [{{ name: c, volumeMounts: [{{ name: v, mountPath: /x{more} }}] }}], volumes: [{{ name: v, hostPath: {{ path: {path} }} }}] }}"
        )
    };
    check("{ containers: [{ name: c, securityContext: { privileged: true } }] }", expect!["c is privileged"]);
    check(
        "{ containers: [{ name: c }], initContainers: [{ name: i, securityContext: { privileged: true } }] }",
        expect!["i is privileged"],
    );
    check(
        "{ containers: [{ name: c, securityContext: { capabilities: { add: [SYS_ADMIN] } } }] }",
        expect!["c has the capability SYS_ADMIN"],
    );
    check(
        "{ containers: [{ name: c, securityContext: { capabilities: { add: [NET_BIND_SERVICE, NET_ADMIN] } } }] }",
        expect![""],
    );
    check("{ containers: [{ name: c, securityContext: { capabilities: { add: [SYS_PTRACE] } } }] }", expect![""]);
    check(
        "{ hostPID: true, containers: [{ name: c, securityContext: { capabilities: { add: [SYS_PTRACE] } } }] }",
        expect!["c may trace the machine's processes (hostPID and SYS_PTRACE)"],
    );
    check("{ hostPID: true, hostNetwork: true, containers: [{ name: c }] }", expect![""]);
    check(&mount("/", ""), expect!["c mounts / of the machine to write to"]);
    check(&mount("/", ", readOnly: true"), expect![""]);
    check(&mount("/etc/kubernetes/", ""), expect!["c mounts /etc/kubernetes/ of the machine to write to"]);
    check(&mount("/var/run/docker.sock", ", readOnly: true"), expect!["c mounts /var/run/docker.sock of the machine"]);
    check(&mount("/var/log", ""), expect![""]);
    check(&mount("/data/app", ""), expect![""]);
}
