//! A plan or state as a list of resources, and who refers to whom. What is not known before apply has no value; the
//! configuration says what it refers to (`aws_instance.db` names `aws_security_group.db.id`), through modules' variables
//! and outputs.
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use model::tree::{Kind, Tree};

/// Longest chain of references through variables and outputs.
const CHAIN_MAX: usize = 24;
/// Most references followed for one attribute.
const FOLLOWED_MAX: usize = 2_000;
/// Attributes by which others name a resource.
const NAMED_BY: [&str; 20] = [
    "id",
    "arn",
    "name",
    "bucket",
    "bucket_domain_name",
    "bucket_regional_domain_name",
    "dns_name",
    "domain_name",
    "endpoint",
    "address",
    "url",
    "invoke_arn",
    "qualified_arn",
    "unique_id",
    "identifier",
    "cluster_identifier",
    "function_name",
    "repository_url",
    "key_name",
    "execution_arn",
];

static NOTHING: Tree = Tree { line: 0, kind: Kind::Null };

/// A resource, or a data source that was read.
pub(super) struct Resource<'a> {
    /// `module.net["a"].aws_subnet.public[0]`.
    pub(super) address: String,
    /// `aws_subnet`.
    pub(super) kind: &'a str,
    /// `public`.
    pub(super) name: &'a str,
    /// `0`, or the key of `for_each`.
    pub(super) index: Option<String>,
    /// Whether it is a data source.
    pub(super) is_data: bool,
    /// What is known of it.
    pub(super) values: &'a Tree,
    module: String,
    path: String,
    config: Option<&'a Tree>,
}

/// Everything in a plan or state.
pub(super) struct Plan<'a> {
    /// Resources, in the order of the file.
    pub(super) all: Vec<Resource<'a>>,
    /// Whether it says what is there, and not what is to be.
    pub(super) is_state: bool,
    /// Where everything is, if one region is written.
    pub(super) region: Option<&'a str>,
    by_kind: HashMap<&'a str, Vec<usize>>,
    by_config: HashMap<(String, String), Vec<usize>>,
    /// Who names a resource by some attribute, by type and attribute; worked out when first asked.
    linking: RefCell<HashMap<(String, String), Links>>,
    by_value: HashMap<&'a str, Vec<usize>>,
    modules: HashMap<String, &'a Tree>,
    calls: HashMap<String, &'a Tree>,
    /// What is written of a resource, by the path of its module and its name there.
    written: HashMap<(String, String), &'a Tree>,
}

/// Who names a resource.
type Links = HashMap<usize, Vec<usize>>;

/// From where a reference is followed.
struct Scope<'s> {
    path: &'s str,
    module: &'s str,
    index: Option<&'s str>,
}

impl<'a> Resource<'a> {
    /// The text at a path; of a list its first member is meant, as blocks are lists.
    pub(super) fn text(&self, path: &[&str]) -> Option<&'a str> {
        texts(self.values, path).first().copied()
    }

    /// A boolean at a path.
    pub(super) fn flag(&self, path: &[&str]) -> Option<bool> {
        match self.text(path)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A number at a path.
    pub(super) fn number(&self, path: &[&str]) -> Option<i64> {
        self.text(path)?.parse().ok()
    }

    /// The texts at a path.
    pub(super) fn texts(&self, path: &[&str]) -> Vec<&'a str> {
        texts(self.values, path)
    }

    /// The blocks of a name.
    pub(super) fn blocks(&self, key: &str) -> Vec<&'a Tree> {
        blocks(self.values, key)
    }

    /// The blocks of a name as configured, with their expressions.
    pub(super) fn configured(&self, key: &str) -> Vec<&'a Tree> {
        self.config.and_then(|c| c.get("expressions")).map(|e| blocks(e, key)).unwrap_or_default()
    }

    /// Whether the configuration says anything about it.
    pub(super) fn is_configured(&self, key: &str) -> bool {
        self.config.and_then(|c| c.at(&["expressions", key])).is_some()
    }

    /// Whether it is one of these types.
    pub(super) fn is(&self, kinds: &[&str]) -> bool {
        !self.is_data && kinds.contains(&self.kind)
    }

    /// The last module that it is in.
    pub(super) fn module_name(&self) -> Option<&str> {
        self.path.rsplit('/').next().filter(|n| !n.is_empty())
    }
}

impl<'a> Plan<'a> {
    /// Reads `terraform show -json` of a plan or a state, or a state file of version 4. Nothing where it is none of them.
    pub(super) fn read(tree: &'a Tree) -> Option<Self> {
        let mut plan = Self {
            all: Vec::new(),
            is_state: false,
            region: None,
            by_kind: HashMap::new(),
            by_config: HashMap::new(),
            linking: RefCell::default(),
            by_value: HashMap::new(),
            modules: HashMap::new(),
            calls: HashMap::new(),
            written: HashMap::new(),
        };
        if let Some(root) = tree.at(&["configuration", "root_module"]) {
            plan.configuration(root, String::new());
        }
        let planned = tree.at(&["planned_values", "root_module"]);
        let stated = tree.at(&["values", "root_module"]);
        if let Some(root) = planned.or(stated) {
            plan.is_state = planned.is_none();
            plan.module(root, "");
        } else if tree.get("resource_changes").is_some() || tree.get("planned_values").is_some() {
            for change in tree.items_at(&["resource_changes"]) {
                if let Some(after) = change.at(&["change", "after"]) {
                    plan.resource(change, after, change.text_at(&["module_address"]).unwrap_or_default());
                }
            }
        } else if tree.items_at(&["resources"]).iter().any(|r| r.get("instances").is_some()) {
            plan.is_state = true;
            for resource in tree.items_at(&["resources"]) {
                for instance in resource.items_at(&["instances"]) {
                    let values = instance.get("attributes").unwrap_or(&NOTHING);
                    plan.instance(resource, values, instance.text_at(&["index_key"]));
                }
            }
        } else if tree.get("terraform_version").is_none() && tree.get("format_version").is_none() {
            return None;
        }
        // What data sources said when the plan was made.
        if let Some(root) = tree.at(&["prior_state", "values", "root_module"]).filter(|_| planned.is_some()) {
            plan.data_of(root, "");
        }
        plan.unread_data();
        plan.index();
        plan.region = region(tree);
        Some(plan)
    }

    /// A resource. Ids are made by `read` only, so they are in bounds.
    pub(super) fn get(&self, id: usize) -> &Resource<'a> {
        &self.all[id]
    }

    /// Resources of these types.
    pub(super) fn of(&self, kinds: &[&str]) -> Vec<usize> {
        let mut all: Vec<usize> = kinds.iter().filter_map(|k| self.by_kind.get(k)).flatten().copied().collect();
        all.sort_unstable();
        all
    }

    /// The resources of these types that an attribute names: by known values, else by what its expression refers to.
    pub(super) fn find(&self, id: usize, path: &[&str], kinds: &[&str]) -> Vec<usize> {
        let of = self.get(id);
        let mut found: Vec<usize> = of.texts(path).iter().flat_map(|text| self.named(text)).collect();
        found.retain(|f| self.get(*f).is(kinds) && *f != id);
        if found.is_empty() {
            found = self.refers(id, path);
            found.retain(|f| self.get(*f).is(kinds) && *f != id);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The resources of these types that name this one by an attribute.
    pub(super) fn linking(&self, id: usize, kinds: &[&str], path: &[&str]) -> Vec<usize> {
        let mut memo = self.linking.borrow_mut();
        let mut found = Vec::new();
        for kind in kinds {
            let links = memo.entry(((*kind).to_owned(), path.join("."))).or_insert_with(|| {
                let mut links = Links::new();
                for part in self.of(&[kind]) {
                    let known: Vec<usize> =
                        self.get(part).texts(path).iter().flat_map(|text| self.named(text)).collect();
                    let mut named = if known.is_empty() { self.refers(part, path) } else { known };
                    named.sort_unstable();
                    named.dedup();
                    for target in named {
                        links.entry(target).or_default().push(part);
                    }
                }
                links
            });
            found.extend(links.get(&id).into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The resources and data sources that the expression of an attribute refers to.
    pub(super) fn refers(&self, id: usize, path: &[&str]) -> Vec<usize> {
        let Some(expressions) = self.get(id).config.and_then(|c| c.get("expressions")) else { return Vec::new() };
        let mut at = vec![expressions];
        for key in path {
            at = at.into_iter().flat_map(|tree| blocks(tree, key)).collect();
        }
        at.into_iter().flat_map(|tree| self.refers_in(id, tree)).collect()
    }

    /// The same of a part of its configuration.
    pub(super) fn refers_in(&self, id: usize, expression: &Tree) -> Vec<usize> {
        let of = self.get(id);
        let mut references = Vec::new();
        gather(expression, &mut references);
        if references.iter().any(|r| r.starts_with("each."))
            && let Some(each) = of.config.and_then(|c| c.get("for_each_expression"))
        {
            gather(each, &mut references);
        }
        references.truncate(FOLLOWED_MAX);
        let scope = Scope { path: &of.path, module: &of.module, index: of.index.as_deref() };
        let (mut found, mut budget) = (Vec::new(), FOLLOWED_MAX);
        self.follow(&references, &scope, 0, &mut budget, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Resources that a known value names.
    pub(super) fn named(&self, value: &str) -> Vec<usize> {
        self.by_value.get(value).cloned().unwrap_or_default()
    }

    fn follow(&self, references: &[&str], scope: &Scope<'_>, depth: usize, budget: &mut usize, found: &mut Vec<usize>) {
        // Each reference is there with every shorter form of it: `a.b[0].id`, `a.b[0]`, `a.b`.
        let exact: Vec<&str> = references.iter().filter(|r| r.contains('[')).map(|r| bare(r)).collect();
        for reference in references {
            if depth > CHAIN_MAX || *budget == 0 || found.len() > FOLLOWED_MAX {
                return;
            }
            *budget -= 1;
            let parts = segments(reference);
            let part = |n: usize| parts.get(n).copied().unwrap_or_default();
            match part(0) {
                "var" => {
                    let (outer, _) = scope.path.rsplit_once('/').unwrap_or_default();
                    let expression = self.calls.get(scope.path).and_then(|c| c.at(&["expressions", part(1)]));
                    let Some(expression) = expression.filter(|_| !scope.path.is_empty()) else { continue };
                    let mut more = Vec::new();
                    gather(expression, &mut more);
                    more.truncate(FOLLOWED_MAX);
                    let module = outer_module(scope.module, outer);
                    self.follow(&more, &Scope { path: outer, module: &module, index: None }, depth + 1, budget, found);
                }
                "module" => {
                    let path = join(scope.path, plain(part(1)));
                    let output = self.modules.get(&path).and_then(|m| m.at(&["outputs", plain(part(2)), "expression"]));
                    let Some(output) = output else { continue };
                    let mut more = Vec::new();
                    gather(output, &mut more);
                    more.truncate(FOLLOWED_MAX);
                    let module = match scope.module {
                        "" => format!("module.{}", part(1)),
                        around => format!("{around}.module.{}", part(1)),
                    };
                    self.follow(&more, &Scope { path: &path, module: &module, index: None }, depth + 1, budget, found);
                }
                "local" | "each" | "count" | "path" | "self" | "terraform" => {}
                first => {
                    let (key, last) = match first {
                        "data" => (format!("data.{}.{}", part(1), plain(part(2))), part(2)),
                        kind => (format!("{kind}.{}", plain(part(1))), part(1)),
                    };
                    let index = index_of(last);
                    if index.is_none() && exact.contains(&key.as_str()) {
                        continue;
                    }
                    let all = self.by_config.get(&(scope.path.to_owned(), key)).map_or(&[][..], Vec::as_slice);
                    let mut some: Vec<usize> =
                        all.iter().copied().filter(|id| self.get(*id).module.starts_with(scope.module)).collect();
                    if let Some(index) = index.as_deref().or(scope.index) {
                        let same = |id: &usize| self.get(*id).index.as_deref() == Some(index);
                        if some.iter().any(same) {
                            some.retain(same);
                        }
                    }
                    some.truncate(FOLLOWED_MAX);
                    found.extend(some);
                }
            }
        }
    }

    fn configuration(&mut self, module: &'a Tree, path: String) {
        for (name, call) in module.get("module_calls").map_or(&[][..], Tree::entries) {
            let inner = join(&path, name);
            self.calls.insert(inner.clone(), call);
            if let Some(module) = call.get("module") {
                self.configuration(module, inner);
            }
        }
        for written in module.items_at(&["resources"]) {
            if let (Some(kind), Some(name)) = (written.text_at(&["type"]), written.text_at(&["name"])) {
                let is_data = written.text_at(&["mode"]) == Some("data");
                self.written.insert((path.clone(), key_of(kind, name, is_data)), written);
            }
        }
        self.modules.insert(path, module);
    }

    fn module(&mut self, module: &'a Tree, address: &str) {
        for resource in module.items_at(&["resources"]) {
            self.resource(resource, resource.get("values").unwrap_or(&NOTHING), address);
        }
        for child in module.items_at(&["child_modules"]) {
            self.module(child, child.text_at(&["address"]).unwrap_or(address));
        }
    }

    fn data_of(&mut self, module: &'a Tree, address: &str) {
        let known: HashSet<String> = self.all.iter().filter(|r| r.is_data).map(|r| r.address.clone()).collect();
        self.data_in(module, address, &known);
    }

    fn data_in(&mut self, module: &'a Tree, address: &str, known: &HashSet<String>) {
        for resource in module.items_at(&["resources"]) {
            let is_new = !resource.text_at(&["address"]).is_some_and(|a| known.contains(a));
            if is_new && resource.text_at(&["mode"]) == Some("data") {
                self.resource(resource, resource.get("values").unwrap_or(&NOTHING), address);
            }
        }
        for child in module.items_at(&["child_modules"]) {
            self.data_in(child, child.text_at(&["address"]).unwrap_or(address), known);
        }
    }

    /// Policy documents that are written and were not read.
    fn unread_data(&mut self) {
        let mut unread: Vec<((String, String), &'a Tree)> = self
            .written
            .iter()
            .filter(|(key, _)| key.1.starts_with("data.aws_iam_policy_document.") && !self.by_config.contains_key(*key))
            .map(|(key, written)| (key.clone(), *written))
            .collect();
        unread.sort_by(|a, b| a.0.cmp(&b.0));
        for ((path, _), written) in unread {
            let names = path.split('/').filter(|n| !n.is_empty());
            let module = names.map(|n| format!("module.{n}")).collect::<Vec<_>>().join(".");
            self.resource(written, &NOTHING, &module);
        }
    }

    fn resource(&mut self, tree: &'a Tree, values: &'a Tree, module: &str) {
        let (Some(kind), Some(name)) = (tree.text_at(&["type"]), tree.text_at(&["name"])) else { return };
        let is_data = tree.text_at(&["mode"]) == Some("data");
        let index = tree.text_at(&["index"]).map(str::to_owned);
        let address = tree.text_at(&["address"]).map_or_else(|| format!("{kind}.{name}"), str::to_owned);
        self.push(Resource {
            address,
            kind,
            name,
            index,
            is_data,
            values,
            module: module.to_owned(),
            path: path_of(module),
            config: None,
        });
    }

    fn instance(&mut self, tree: &'a Tree, values: &'a Tree, index: Option<&str>) {
        let (Some(kind), Some(name)) = (tree.text_at(&["type"]), tree.text_at(&["name"])) else { return };
        let module = tree.text_at(&["module"]).unwrap_or_default();
        let around = if module.is_empty() { String::new() } else { format!("{module}.") };
        let at = index.map(|i| format!("[{i}]")).unwrap_or_default();
        self.push(Resource {
            address: format!("{around}{kind}.{name}{at}"),
            kind,
            name,
            index: index.map(str::to_owned),
            is_data: tree.text_at(&["mode"]) == Some("data"),
            values,
            module: module.to_owned(),
            path: path_of(module),
            config: None,
        });
    }

    fn push(&mut self, mut resource: Resource<'a>) {
        if resource.is_data && resource.kind != "aws_iam_policy_document" {
            return;
        }
        let key = (resource.path.clone(), key_of(resource.kind, resource.name, resource.is_data));
        resource.config = self.written.get(&key).copied();
        self.by_config.entry(key).or_default().push(self.all.len());
        self.all.push(resource);
    }

    fn index(&mut self) {
        for (id, resource) in self.all.iter().enumerate().filter(|(_, r)| !r.is_data) {
            self.by_kind.entry(resource.kind).or_default().push(id);
            for key in NAMED_BY {
                if let Some(text) = resource.values.text_at(&[key]).filter(|t| !t.is_empty()) {
                    let all = self.by_value.entry(text).or_default();
                    if !all.contains(&id) {
                        all.push(id);
                    }
                }
            }
        }
    }
}

/// All texts at a path, through lists.
pub(super) fn texts<'a>(tree: &'a Tree, path: &[&str]) -> Vec<&'a str> {
    let mut at = vec![tree];
    for key in path {
        at = at.into_iter().flat_map(|tree| blocks(tree, key)).collect();
    }
    at.into_iter().filter_map(Tree::text).collect()
}

/// The members under a key, of a block that is there once or many times.
pub(super) fn blocks<'a>(tree: &'a Tree, key: &str) -> Vec<&'a Tree> {
    let of = |tree: &'a Tree| match tree.get(key) {
        Some(Tree { kind: Kind::List(items), .. }) => items.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    match &tree.kind {
        Kind::List(items) => items.iter().flat_map(of).collect(),
        _ => of(tree),
    }
}

/// The constants of an expression.
pub(super) fn constants<'a>(expression: &'a Tree, key: &str) -> Vec<&'a str> {
    texts(expression, &[key, "constant_value"])
}

/// Every `references` in an expression, however deep in blocks.
fn gather<'a>(tree: &'a Tree, out: &mut Vec<&'a str>) {
    match &tree.kind {
        Kind::List(items) => items.iter().for_each(|i| gather(i, out)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                match key.as_str() {
                    "references" => out.extend(value.items().iter().filter_map(Tree::text)),
                    "constant_value" => {}
                    _ => gather(value, out),
                }
            }
        }
        _ => {}
    }
}

/// The parts of an address; dots in the keys of `for_each` do not part.
fn segments(address: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut depth) = (Vec::new(), 0, false, 0_usize);
    for (at, byte) in address.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'[' if !quoted => depth += 1,
            b']' if !quoted => depth = depth.saturating_sub(1),
            b'.' if !quoted && depth == 0 => {
                parts.push(address.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(address.get(start..).unwrap_or_default());
    parts
}

fn plain(part: &str) -> &str {
    part.split('[').next().unwrap_or(part)
}

/// `a.b` of `a.b[0].id`, where the index is the resource's.
fn bare(reference: &str) -> &str {
    reference.split('[').next().unwrap_or(reference)
}

fn index_of(part: &str) -> Option<String> {
    let (_, index) = part.split_once('[')?;
    Some(index.trim_end_matches(']').trim_matches('"').to_owned())
}

fn key_of(kind: &str, name: &str, is_data: bool) -> String {
    let data = if is_data { "data." } else { "" };
    format!("{data}{kind}.{name}")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// `a/b` of `module.a[0].module.b`.
fn path_of(module: &str) -> String {
    segments(module).chunks(2).filter_map(|pair| pair.get(1)).map(|n| plain(n)).collect::<Vec<_>>().join("/")
}

/// The address of the module around one.
fn outer_module(module: &str, outer: &str) -> String {
    let keep = if outer.is_empty() { 0 } else { 2 * outer.split('/').count() };
    segments(module).into_iter().take(keep).collect::<Vec<_>>().join(".")
}

fn region(tree: &Tree) -> Option<&str> {
    let providers = tree.at(&["configuration", "provider_config"]).map_or(&[][..], Tree::entries);
    let aws = providers.iter().filter(|(_, p)| p.text_at(&["name"]) == Some("aws"));
    let mut found = aws.filter_map(|(_, provider)| {
        let region = provider.at(&["expressions", "region"])?;
        region.text_at(&["constant_value"]).or_else(|| {
            let variable =
                region.items_at(&["references"]).iter().filter_map(Tree::text).find_map(|r| r.strip_prefix("var."))?;
            tree.text_at(&["variables", variable, "value"])
        })
    });
    let first = found.next()?;
    let is_one = first.len() <= 24
        && first.bytes().filter(|b| *b == b'-').count() >= 2
        && first.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (is_one && found.all(|other| other == first)).then_some(first)
}
