//! Input of any kind: a model or an error comes of it, and no value of a Secret.
use proptest::prelude::*;

use super::{POD, file, imported};
use crate::import::{Format, ImportError, import};

/// A scalar or a small tree of things that manifests have.
fn tree() -> impl Strategy<Value = serde_json::Value> {
    let words = prop::sample::select(vec![
        "v1",
        "apps/v1",
        "Pod",
        "Deployment",
        "Service",
        "Secret",
        "ConfigMap",
        "NetworkPolicy",
        "Ingress",
        "Role",
        "RoleBinding",
        "ClusterRole",
        "ServiceAccount",
        "a",
        "b",
        "a.b",
        "*",
        "",
        "get",
        "secrets",
        "pods",
        "http://a:80",
        "postgres://u:p@b/x",
        "80",
        "TCP",
        "In",
        "Exists",
        "true",
        "$(a)",
        "LoadBalancer",
        "cluster-admin",
        "networking.k8s.io/v1",
        "rbac.authorization.k8s.io/v1",
        "kms",
        "/",
        "hello-world",
    ]);
    let leaf = prop_oneof![
        words.prop_map(serde_json::Value::from),
        any::<u32>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        "\\PC{0,12}".prop_map(serde_json::Value::from),
    ];
    let keys = prop::sample::select(vec![
        "apiVersion",
        "kind",
        "metadata",
        "name",
        "namespace",
        "labels",
        "annotations",
        "spec",
        "template",
        "containers",
        "initContainers",
        "image",
        "env",
        "envFrom",
        "value",
        "valueFrom",
        "secretKeyRef",
        "secretRef",
        "configMapRef",
        "key",
        "ports",
        "containerPort",
        "port",
        "targetPort",
        "endPort",
        "selector",
        "matchLabels",
        "matchExpressions",
        "operator",
        "values",
        "podSelector",
        "namespaceSelector",
        "ingress",
        "egress",
        "from",
        "to",
        "policyTypes",
        "rules",
        "verbs",
        "apiGroups",
        "resources",
        "resourceNames",
        "subjects",
        "roleRef",
        "items",
        "data",
        "volumes",
        "projected",
        "sources",
        "secret",
        "secretName",
        "hostPath",
        "path",
        "volumeMounts",
        "securityContext",
        "privileged",
        "tls",
        "hosts",
        "host",
        "http",
        "paths",
        "backend",
        "service",
        "number",
        "type",
        "args",
        "a",
        "b",
        "serviceAccountName",
        "ownerReferences",
        "listeners",
        "parentRefs",
        "backendRefs",
    ]);
    leaf.prop_recursive(6, 96, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((keys.clone(), inner), 0..8)
                .prop_map(|all| serde_json::Value::Object(all.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

/// An object whose parts are drawn.
fn object() -> impl Strategy<Value = serde_json::Value> {
    let kinds = prop::sample::select(vec![
        ("v1", "Pod"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("v1", "Service"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("networking.k8s.io/v1", "Ingress"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("gateway.networking.k8s.io/v1", "Gateway"),
        ("v1", "List"),
    ]);
    let name = prop::sample::select(vec!["a", "b", "A b", ""]);
    (kinds, name, tree(), tree(), tree()).prop_map(|((group, kind), name, spec, data, rules)| {
        serde_json::json!({
            "apiVersion": group, "kind": kind, "metadata": { "name": name, "namespace": name, "labels": { "a": "b" } },
            "spec": spec, "data": data, "rules": rules, "items": data, "subjects": rules, "roleRef": { "kind": "ClusterRole", "name": name },
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_read_is_a_model_or_an_error(objects in prop::collection::vec(object(), 1..6)) {
        let text = serde_json::Value::from(objects).to_string();
        match import(&[file("x.json", &text)], Some(Format::Kubernetes)) {
            Ok(_) | Err(ImportError::Nothing(_) | ImportError::Refused { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn values_of_secrets_are_nowhere(value in "[A-Za-z0-9]{14,24}", host in "[a-z]{12,20}", key in "[A-Z]{3,8}_(URL|PASSWORD|TOKEN|HOST)", url in any::<bool>(), plain in any::<bool>()) {
        let value = if url { format!("mongodb://{value}:{value}@{host}.internal:27017/{value}") } else { value };
        let data = if plain { format!("stringData: {{ {key}: '{value}' }}") } else { format!("data: {{ {key}: {} }}", base64(&value)) };
        let text = format!(
            "{POD}spec:\n  containers:\n    - image: app\n      args: ['--x=$({key})']\n      env: [{{ name: {key}, valueFrom: {{ secretKeyRef: {{ name: s, key: {key} }} }} }}, {{ name: LITERAL_PASSWORD, value: '{value}' }}]\n      envFrom: [{{ secretRef: {{ name: s }} }}]\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  namespace: shop\n  annotations: {{ kubectl.kubernetes.io/last-applied-configuration: '{value}' }}\n{data}\n"
        );
        let imported = imported(&text);
        let out = serde_json::to_string(&imported).unwrap();
        prop_assert!(!out.contains(&value) && !out.contains(&base64(&value)), "{}", out);
        prop_assert!(!out.contains(&host), "{}", out);
    }
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]));
        }
        out.push_str(&"=".repeat(3 - chunk.len()));
    }
    out
}
