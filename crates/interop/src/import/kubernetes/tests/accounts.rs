//! Service accounts: which roles, bindings and mounts make which ways through a cluster.
use super::{POD, findings, from, imported};

fn account(namespace: &str, role: &str, binding: &str) -> String {
    format!(
        "{POD}spec: {{ serviceAccountName: bot, containers: [{{ name: c, image: app }}] }}
---
{{ apiVersion: v1, kind: Secret, metadata: {{ name: other, namespace: bank }}, data: {{ a: aGVsbG8td29ybGQ= }} }}
---
{{ apiVersion: v1, kind: Secret, metadata: {{ name: own, namespace: shop }}, data: {{ a: aGVsbG8td29ybGQ= }} }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: ledger, namespace: bank }}
spec: {{ automountServiceAccountToken: false, containers: [{{ name: c, image: ledger, env: [{{ name: A, valueFrom: {{ secretKeyRef: {{ name: other, key: a }} }} }}] }}] }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {role}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {binding}
metadata: {{ name: b, namespace: {namespace} }}
subjects: [{{ kind: ServiceAccount, name: bot, namespace: shop }}]
"
    )
}

#[test]
fn a_role_in_a_namespace_opens_that_namespace_only() {
    let reads = "Role\nmetadata: { name: r, namespace: shop }\nrules: [{ apiGroups: [''], resources: [secrets], verbs: [get] }]";
    let of_role = "RoleBinding\nroleRef: { kind: Role, name: r }";
    let text = imported(&account("shop", reads, of_role)).written.text;
    assert_eq!(from(&text, "app"), ["bot-account", "own"], "{text}");
    let runs = "Role\nmetadata: { name: r, namespace: bank }\nrules: [{ apiGroups: [''], resources: [pods], verbs: [create] }]";
    let text = imported(&account("bank", runs, of_role)).written.text;
    let ways = from(&text, "app");
    assert!(ways.contains(&"k8s-api-bank".to_owned()) && !ways.contains(&"own".to_owned()), "{ways:?}\n{text}");
    // The role says what it needs, so it is no power that nobody needs.
    assert!(!findings(&text).iter().any(|f| f.contains("excess-privilege")), "{:?}", findings(&text));
    let edit = "RoleBinding\nroleRef: { kind: ClusterRole, name: edit }";
    let text = imported(&account("bank", runs, edit)).written.text;
    assert!(findings(&text).iter().any(|f| f == "high excess-privilege@bot-account"), "{:?}\n{text}", findings(&text));
    let everywhere =
        "ClusterRole\nmetadata: { name: r }\nrules: [{ apiGroups: [''], resources: [secrets], verbs: [list] }]";
    let of_all = "ClusterRoleBinding\nroleRef: { kind: ClusterRole, name: r }";
    let text = imported(&account("shop", everywhere, of_all)).written.text;
    assert_eq!(from(&text, "app"), ["bot-account", "other", "own"], "{text}");
    let named = "Role\nmetadata: { name: r, namespace: bank }\nrules: [{ apiGroups: [''], resources: [secrets], resourceNames: [other], verbs: [get] }]";
    let text = imported(&account("bank", named, of_role)).written.text;
    assert_eq!(from(&text, "app"), ["other"], "{text}");
}

#[test]
fn tokens_and_groups_and_aggregation() {
    let tokens = "Role\nmetadata: { name: r, namespace: kube-system }\nrules: [{ apiGroups: [''], resources: [pods], verbs: [create] }]";
    let text = imported(&account("kube-system", tokens, "RoleBinding\nroleRef: { kind: Role, name: r }")).written.text;
    assert!(text.contains("administers the cluster (create pods)"), "{text}");
    let whole = "ClusterRole
metadata: { name: r }
aggregationRule: { clusterRoleSelectors: [{ matchLabels: { part: 'yes' } }] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: part, labels: { part: 'yes' } }
rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }]";
    let text =
        imported(&account("shop", whole, "ClusterRoleBinding\nroleRef: { kind: ClusterRole, name: r }")).written.text;
    assert!(from(&text, "app").contains(&"k8s-api".to_owned()), "{text}");
    let group = account("shop", "Role\nmetadata: { name: none, namespace: shop }", "RoleBinding\nroleRef: { kind: Role, name: none }")
        + "---
{ apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: { name: g }, roleRef: { kind: ClusterRole, name: cluster-admin }, subjects: [{ kind: Group, name: 'system:serviceaccounts:shop' }] }
";
    let text = imported(&group).written.text;
    assert!(text.contains("bot-account") && !text.contains("ledger-account"), "{text}");
    let nobody = group.replace("system:serviceaccounts:shop", "system:unauthenticated");
    let text = imported(&nobody).written.text;
    assert!(findings(&text).iter().any(|f| f == "critical exposed-admin@k8s-api"), "{:?}\n{text}", findings(&text));
    let masters = group.replace("system:serviceaccounts:shop", "platform-team");
    let text = imported(&masters).written.text;
    assert!(!text.contains("k8s-api:"), "people are no workloads\n{text}");
    let gone = account(
        "shop",
        "Role\nmetadata: { name: other, namespace: shop }",
        "RoleBinding\nroleRef: { kind: Role, name: r }",
    );
    let told = imported(&gone).written.left_out;
    assert!(told.iter().any(|l| l.why == "it binds Role r, which is not in what was read"), "{told:?}");
}

#[test]
fn a_token_that_is_not_mounted_is_no_power() {
    let all = "ClusterRole\nmetadata: { name: unused }";
    let admin = "ClusterRoleBinding\nroleRef: { kind: ClusterRole, name: cluster-admin }";
    let text = account("shop", all, admin);
    assert!(imported(&text).written.text.contains("holds: [bot-account]"));
    let off =
        text.replacen("serviceAccountName: bot", "serviceAccountName: bot, automountServiceAccountToken: false", 1);
    let imported_off = imported(&off).written;
    assert!(!imported_off.text.contains("bot-account"), "{}", imported_off.text);
    assert!(
        imported_off.left_out.iter().any(|l| l.what == "ServiceAccount shop/bot: administers the cluster (`*` on `*`)")
    );
    let by_account = format!(
        "{text}---\n{{ apiVersion: v1, kind: ServiceAccount, metadata: {{ name: bot, namespace: shop }}, automountServiceAccountToken: false }}\n"
    );
    assert!(!imported(&by_account).written.text.contains("bot-account"));
    let asked = off.replacen(
        "containers:",
        "volumes: [{ name: t, projected: { sources: [{ serviceAccountToken: { path: t } }] } }], containers:",
        1,
    );
    assert!(imported(&asked).written.text.contains("holds: [bot-account]"));
    let lasting = format!(
        "{off}---\n{{ apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, metadata: {{ name: bot-token, namespace: shop, annotations: {{ kubernetes.io/service-account.name: bot }} }} }}\n"
    );
    let text = imported(&lasting).written.text;
    assert!(text.contains("bot-token: { class: secret, opens: [k8s-api] }"), "{text}");
}
