//! Objects: the documents of all files unrolled to what they are lists of, and how one selects others.
use std::collections::HashSet;

use model::tree::{Kind as Shape, Tree};

use super::super::{Document, place};

/// An object of the API, as somebody wrote it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a> {
    pub(super) file: &'a str,
    pub(super) tree: &'a Tree,
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl<'a> Object<'a> {
    /// Where it stands.
    pub(super) fn place(&self) -> String {
        self.place_of(self.tree)
    }

    /// Where a part of it stands.
    pub(super) fn place_of(&self, tree: &Tree) -> String {
        place(self.file, tree.line)
    }

    /// What people call it: `Deployment prod/app`.
    pub(super) fn title(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.tree.text_at(&["metadata", "annotations", key])
    }

    pub(super) fn labels(&self) -> Labels<'a> {
        labels(self.tree.at(&["metadata", "labels"]))
    }
}

/// Labels of an object.
pub(super) type Labels<'a> = Vec<(&'a str, &'a str)>;

/// The labels of a mapping.
pub(super) fn labels(tree: Option<&Tree>) -> Labels<'_> {
    let entries = tree.map_or(&[][..], Tree::entries);
    entries.iter().filter_map(|(key, value)| Some((key.as_str(), value.text()?))).collect()
}

/// Every object of some documents: lists are taken apart, and what is no object is passed over.
pub(super) fn objects<'a>(documents: &'a [Document<'_>]) -> Vec<Object<'a>> {
    let mut all = Vec::new();
    for document in documents {
        unroll(document.file, &document.tree, None, &mut all);
    }
    if let Some(home) = home(&all) {
        for object in all.iter_mut().filter(|o| o.tree.text_at(&["metadata", "namespace"]).is_none()) {
            object.namespace = home;
        }
    }
    all
}

/// Where objects without a namespace are put, if they say so themselves: bindings name accounts with their namespace, and
/// those accounts are among the objects without one (`kubectl apply --namespace argocd`).
fn home<'a>(objects: &[Object<'a>]) -> Option<&'a str> {
    let bare = |o: &&Object<'a>| o.kind == "ServiceAccount" && o.tree.text_at(&["metadata", "namespace"]).is_none();
    let accounts: HashSet<&str> = objects.iter().filter(bare).map(|o| o.name).collect();
    let mut found = None;
    for binding in objects.iter().filter(|o| matches!(o.kind, "ClusterRoleBinding" | "RoleBinding")) {
        for subject in binding.tree.items_at(&["subjects"]) {
            let (Some(name), Some(namespace)) = (subject.text_at(&["name"]), subject.text_at(&["namespace"])) else {
                continue;
            };
            if accounts.contains(name) && *found.get_or_insert(namespace) != namespace {
                // They do not agree.
                return None;
            }
        }
    }
    found
}

fn unroll<'a>(file: &'a str, tree: &'a Tree, of_list: Option<(&'a str, &'a str)>, all: &mut Vec<Object<'a>>) {
    // `kubectl get … -o json` may be wrapped in a list of its own.
    if let Shape::List(items) = &tree.kind {
        items.iter().for_each(|item| unroll(file, item, of_list, all));
        return;
    }
    let group = tree.text_at(&["apiVersion"]).map(|v| v.rsplit_once('/').map_or("", |(group, _)| group));
    let kind = tree.text_at(&["kind"]);
    let (group, kind) = match (group, kind, of_list) {
        (Some(group), Some(kind), _) => (group, kind),
        // Members of a typed list need not repeat what they are.
        (_, _, Some(of_list)) => of_list,
        _ => return,
    };
    if let (Some(of), Some(items)) = (kind.strip_suffix("List"), tree.get("items")) {
        let member = (!of.is_empty()).then_some((group, of));
        items.items().iter().for_each(|item| unroll(file, item, member, all));
        return;
    }
    let name = tree.text_at(&["metadata", "name"]).or_else(|| tree.text_at(&["metadata", "generateName"]));
    let namespace = tree.text_at(&["metadata", "namespace"]).unwrap_or("default");
    all.push(Object { file, tree, group, kind, namespace, name: name.unwrap_or_default().trim_end_matches('-') });
}

/// Whether a label selector matches (`LabelSelector`): all of `matchLabels` and `matchExpressions`. One without either matches
/// everything.
pub(super) fn selects(selector: &Tree, labels: &Labels<'_>) -> bool {
    let value = |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
    let same = |(key, wanted): &(String, Tree)| value(key) == Some(wanted.text().unwrap_or_default());
    let holds = |expression: &Tree| {
        let found = expression.text_at(&["key"]).and_then(value);
        let listed = |v: &str| expression.items_at(&["values"]).iter().any(|w| w.text() == Some(v));
        match expression.text_at(&["operator"]) {
            Some("In") => found.is_some_and(listed),
            // What has no such label is not in the list either.
            Some("NotIn") => !found.is_some_and(listed),
            Some("Exists") => found.is_some(),
            Some("DoesNotExist") => found.is_none(),
            _ => false,
        }
    };
    selector.get("matchLabels").is_none_or(|l| l.entries().iter().all(same))
        && selector.items_at(&["matchExpressions"]).iter().all(holds)
}

/// Whether a plain selector, as a Service has one, matches. An empty one matches nothing.
pub(super) fn selects_plainly(selector: &Tree, labels: &Labels<'_>) -> bool {
    let entries = selector.entries();
    !entries.is_empty()
        && entries.iter().all(|(key, wanted)| labels.iter().any(|(k, v)| k == key && Some(*v) == wanted.text()))
}
