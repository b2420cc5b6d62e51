//! Rules of roles and what they amount to, each alone.
use expect_test::{Expect, expect};
use model::tree::Tree;

use super::*;

/// Rules as `verbs; groups; resources; names`, one a line. What they come to in the whole cluster, and in the namespace `n`.
fn check(rules: &str, expected: Expect) {
    let trees: Vec<Tree> = rules
        .lines()
        .map(|line| {
            let mut parts = line.split(';').map(|p| {
                let words: Vec<String> = p.split_whitespace().map(|w| if w == "core" { String::new() } else { w.to_owned() }).collect();
                serde_json::json!(words)
            });
            let mut next = || parts.next().unwrap_or_else(|| serde_json::json!([]));
            let (verbs, groups, resources, names) = (next(), next(), next(), next());
            Tree::from(serde_json::json!({ "verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names }))
        })
        .collect();
    let rules: Vec<Rule<'_>> = trees.iter().map(Rule::new).collect();
    let told = |scope: &Scope| {
        let all = powers(&rules, scope);
        let one = |(power, why): (&Power, &Why)| {
            let power = match power {
                Power::Admin(_) => "admin".to_owned(),
                Power::ReadSecrets(_) => "read secrets".to_owned(),
                Power::ReadSecret(ns, name) => format!("read {ns}/{name}"),
                Power::Tokens(_) => "tokens".to_owned(),
                Power::Token(_, name) => format!("token of {name}"),
                Power::Impersonate(kind, name) => format!("as {kind} {name}"),
            };
            format!("{power} ({})", why.words)
        };
        let all: Vec<String> = all.iter().map(one).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
    };
    let text = format!("{} | {}", told(&Scope::Cluster), told(&Scope::Namespace("n".to_owned())));
    expected.assert_eq(&text);
}

#[test]
fn everything_is_administration() {
    check(
        "*; *; *",
        expect![
            "admin (`*` on `*`), read secrets (get secrets, by a wildcard or a built-in role) | admin (`*` on `*`), read secrets (get secrets, by a wildcard or a built-in role), tokens (create secrets, by a wildcard or a built-in role and get secrets, by a wildcard or a built-in role)"
        ],
    );
    check("*; core; pods", expect!["admin (create pods) | admin (create pods)"]);
    check(
        "get list watch; *; *",
        expect![
            "read secrets (get secrets, by a wildcard or a built-in role) | read secrets (get secrets, by a wildcard or a built-in role)"
        ],
    );
    check(
        "*; apps; *",
        expect![
            "admin (create deployments, by a wildcard or a built-in role) | admin (create deployments, by a wildcard or a built-in role)"
        ],
    );
    check("*; example.com; *", expect!["nothing | nothing"]);
}

#[test]
fn who_runs_pods_administers() {
    check("create; core; pods", expect!["admin (create pods) | admin (create pods)"]);
    check("create; core; pods; app", expect!["nothing | nothing"]);
    check("create; core; pods/exec", expect!["admin (create pods/exec) | admin (create pods/exec)"]);
    check("get; core; pods/exec", expect!["admin (get pods/exec) | admin (get pods/exec)"]);
    check("create; core; pods/attach", expect!["admin (create pods/attach) | admin (create pods/attach)"]);
    check(
        "patch; core; pods/ephemeralcontainers",
        expect!["admin (patch pods/ephemeralcontainers) | admin (patch pods/ephemeralcontainers)"],
    );
    check("update; core; pods", expect!["admin (update pods) | admin (update pods)"]);
    check("create; apps; deployments", expect!["admin (create deployments) | admin (create deployments)"]);
    check("patch; apps; deployments; app", expect!["admin (patch deployments) | admin (patch deployments)"]);
    check("update; apps; daemonsets", expect!["admin (update daemonsets) | admin (update daemonsets)"]);
    check("create; batch; jobs", expect!["admin (create jobs) | admin (create jobs)"]);
    check("patch; batch; jobs", expect!["nothing | nothing"]);
    check("patch; batch; cronjobs", expect!["admin (patch cronjobs) | admin (patch cronjobs)"]);
    check(
        "create; core; replicationcontrollers",
        expect!["admin (create replicationcontrollers) | admin (create replicationcontrollers)"],
    );
    check("patch; apps; deployments/scale", expect!["nothing | nothing"]);
    check("create; apps; pods", expect!["nothing | nothing"]);
    check("create; core; pods/portforward pods/log", expect!["nothing | nothing"]);
    check("delete deletecollection; core apps; pods deployments", expect!["nothing | nothing"]);
}

#[test]
fn who_reads_secrets_reads_secrets() {
    check("get; core; secrets", expect!["read secrets (get secrets) | read secrets (get secrets)"]);
    check("list; core; secrets", expect!["read secrets (list secrets) | read secrets (list secrets)"]);
    check("watch; core; secrets", expect!["read secrets (watch secrets) | read secrets (watch secrets)"]);
    check(
        "get; core; secrets; db tls",
        expect![
            "read */db (get secrets db), read */tls (get secrets tls) | read n/db (get secrets db), read n/tls (get secrets tls)"
        ],
    );
    check("create; core; secrets", expect!["nothing | nothing"]);
    check(
        "create get; core; secrets",
        expect![
            "admin (create secrets and get secrets), read secrets (get secrets) | read secrets (get secrets), tokens (create secrets and get secrets)"
        ],
    );
    check("get; apps; secrets", expect!["nothing | nothing"]);
    check("get list watch; core; configmaps pods services endpoints", expect!["nothing | nothing"]);
}

#[test]
fn tokens_of_others_are_the_powers_of_others() {
    check(
        "create; core; serviceaccounts/token",
        expect!["admin (create serviceaccounts/token) | tokens (create serviceaccounts/token)"],
    );
    check(
        "create; core; serviceaccounts/token; ci",
        expect!["nothing | token of ci (create serviceaccounts/token ci)"],
    );
    check(
        "impersonate; core; serviceaccounts",
        expect!["admin (impersonate serviceaccounts) | tokens (impersonate serviceaccounts)"],
    );
    check("impersonate; core; users", expect!["admin (impersonate users) | nothing"]);
    check("impersonate; core; groups; system:masters", expect!["admin (impersonate groups system:masters) | nothing"]);
    check("impersonate; core; groups; readers", expect!["as Group readers (impersonate groups readers) | nothing"]);
}

#[test]
fn roles_are_power_only_beyond_what_one_has() {
    let group = "rbac.authorization.k8s.io";
    check(
        &format!("create update; {group}; roles clusterroles rolebindings clusterrolebindings"),
        expect!["nothing | nothing"],
    );
    check(&format!("escalate update; {group}; clusterroles"), expect!["admin (escalate clusterroles) | nothing"]);
    check(&format!("escalate; {group}; roles"), expect!["nothing | nothing"]);
    check(&format!("escalate patch; {group}; roles"), expect!["admin (escalate roles) | admin (escalate roles)"]);
    check(&format!("bind; {group}; clusterroles"), expect!["nothing | nothing"]);
    check(
        &format!("bind; {group}; clusterroles\ncreate; {group}; rolebindings"),
        expect!["admin (bind clusterroles) | admin (bind clusterroles)"],
    );
    check(
        &format!("bind; {group}; clusterroles\ncreate; {group}; clusterrolebindings"),
        expect!["admin (bind clusterroles) | nothing"],
    );
    check(&format!("bind; {group}; clusterroles; view\ncreate; {group}; rolebindings"), expect!["nothing | nothing"]);
    check(
        &format!("bind; {group}; clusterroles; edit\ncreate; {group}; rolebindings"),
        expect!["admin (bind clusterroles edit) | admin (bind clusterroles edit)"],
    );
    check(
        &format!("*; {group}; *"),
        expect![
            "admin (escalate clusterroles, by a wildcard or a built-in role) | admin (escalate roles, by a wildcard or a built-in role)"
        ],
    );
}

#[test]
fn what_is_of_the_whole_cluster_is_not_of_a_namespace() {
    check("create; core; nodes/proxy", expect!["admin (create nodes/proxy) | nothing"]);
    check("get; core; nodes/proxy", expect!["admin (get nodes/proxy) | nothing"]);
    check("get list; core; nodes nodes/metrics nodes/stats", expect!["nothing | nothing"]);
    check(
        "patch; admissionregistration.k8s.io; mutatingwebhookconfigurations; own",
        expect!["admin (patch mutatingwebhookconfigurations) | nothing"],
    );
    check(
        "update; admissionregistration.k8s.io; validatingwebhookconfigurations",
        expect!["read secrets (update validatingwebhookconfigurations) | nothing"],
    );
    let csr = "certificates.k8s.io";
    check(&format!("create; {csr}; certificatesigningrequests"), expect!["nothing | nothing"]);
    check(
        &format!(
            "create; {csr}; certificatesigningrequests\nupdate; {csr}; certificatesigningrequests/approval\napprove; {csr}; signers; kubernetes.io/kube-apiserver-client"
        ),
        expect!["admin (update certificatesigningrequests/approval) | nothing"],
    );
    check(
        "create; authentication.k8s.io authorization.k8s.io; tokenreviews subjectaccessreviews",
        expect!["nothing | nothing"],
    );
    check("*; coordination.k8s.io; leases", expect!["nothing | nothing"]);
    check(
        "*; core; */exec",
        expect![
            "admin (create pods/exec, by a wildcard or a built-in role) | admin (create pods/exec, by a wildcard or a built-in role)"
        ],
    );
}
