//! Secrets: in the environment, in URLs, on the command line, and as `secrets:`. One value that two services have is one secret.
use model::tree::{Kind as TreeKind, Tree};

use super::{Project, command, environment, image::Product, names};
use crate::draft::Kind;

/// A variable of a container.
pub(super) struct Variable<'a> {
    pub(super) name: &'a str,
    /// None where it comes from the shell that starts docker.
    pub(super) value: Option<String>,
    /// Where it stands.
    pub(super) place: String,
}

impl<'a> Project<'a, '_> {
    /// The variables of a service; the strongest part says last what one is.
    pub(super) fn variables(&self, at: usize) -> Vec<Variable<'a>> {
        let mut all: Vec<Variable<'a>> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let Some(service) = self.services.get(at) else { return all };
        for (part, tree) in service.each(&["environment"]) {
            let mut put = |name: &'a str, value: Option<&str>, at: &Tree| {
                if environment::is_name(name) && seen.insert(name) {
                    let place = format!("{} env {name}", part.document.place(at));
                    all.push(Variable { name, value: value.map(environment::interpolate), place });
                }
            };
            for (name, value) in tree.entries() {
                put(name, value.text(), value);
            }
            for item in tree.items() {
                let text = item.text().unwrap_or_default();
                match text.split_once('=') {
                    Some((name, value)) => put(name.trim(), Some(value), item),
                    None => put(text.trim(), None, item),
                }
            }
        }
        all
    }

    /// Finds the secrets of all services.
    pub(super) fn secrets(&mut self) {
        for at in 0..self.services.len() {
            self.of_environment(at);
            self.of_files(at);
        }
    }

    fn of_environment(&mut self, at: usize) {
        let Some(service) = self.services.get(at) else { return };
        let (name, node, store) = (service.name, service.node.clone(), service.store);
        for (part, tree) in service.each(&["env_file"]) {
            let what = format!("`env_file` of `{name}`");
            self.draft.left_out(
                part.document.place(tree),
                what,
                "the file is not read: calls and secrets in it are missing",
            );
        }
        for (part, tree) in service.each(&["environment"]) {
            let items = tree.items().iter().filter_map(|i| Some((i, i.text()?)));
            for (item, text) in items {
                if !environment::is_name(text.split('=').next().unwrap_or_default().trim()) {
                    // It may be a value, so that it is not shown.
                    let what = format!("an entry of the environment of `{name}`");
                    self.draft.left_out(part.document.place(item), what, "it does not begin with a name and `=`");
                }
            }
        }
        for variable in self.variables(at) {
            let secret = environment::is_secret(variable.name, variable.value.as_deref());
            if secret {
                let wanted = format!("{name}-{}", variable.name);
                let datum = self.secret(
                    &wanted,
                    variable.value.as_deref(),
                    &format!("{name}.{}", variable.name),
                    &variable.place,
                );
                self.given(&datum, &node, store, &variable.place);
            }
        }
        let mut on_line = Vec::new();
        if let Some(service) = self.services.get(at) {
            for (part, tree) in service.each(&["command"]) {
                let words = command(tree);
                let found = words.windows(2).find_map(|w| match w {
                    [flag, value] if flag.trim_start_matches('-') == "requirepass" => Some(value.clone()),
                    _ => None,
                });
                on_line.extend(found.map(|value| (value, part.document.place(tree))));
            }
        }
        for (value, place) in on_line {
            let place = format!("{place} command");
            let datum = self.secret(&format!("{name}-password"), Some(&value), &format!("{name} command"), &place);
            self.given(&datum, &node, store, &place);
        }
    }

    /// The datum of a secret: the one that has the same value, or a new one.
    pub(super) fn secret(&mut self, wanted: &str, value: Option<&str>, key: &str, place: &str) -> String {
        let value = value.filter(|v| !v.is_empty());
        let known = value.and_then(|v| self.values.get(v)).cloned();
        let datum = match &known {
            Some(name) => match self.draft.named(Kind::Data, name) {
                Some(datum) => datum,
                None => return name.clone(),
            },
            None => {
                let key = format!("compose:{}:secret:{key}", self.directory);
                self.draft.data(&key, wanted)
            }
        };
        datum.set("class", "secret").comment(place);
        if value.is_some_and(|v| !v.contains("${")) {
            datum.comment("its value is written in the file: whoever reads that has it");
        }
        let name = datum.name().to_owned();
        if let (None, Some(value)) = (known, value) {
            self.values.insert(value.to_owned(), name.clone());
        }
        name
    }

    /// A service holds what it is given; to a store it is what the store asks for.
    fn given(&mut self, datum: &str, node: &str, store: bool, place: &str) {
        if store {
            if let Some(noun) = self.draft.named(Kind::Data, datum) {
                noun.guess_add("opens", node, format!("the store is given it: {place}"));
            }
        } else if let Some(noun) = self.draft.named(Kind::Node, node) {
            noun.add("holds", datum);
        }
    }

    /// `secrets:` of a service, declared for the project.
    fn of_files(&mut self, at: usize) {
        let Some(service) = self.services.get(at) else { return };
        let (node, store) = (service.node.clone(), service.store);
        let mut given = Vec::new();
        for (part, tree) in service.each(&["secrets"]) {
            for item in tree.items() {
                let source = item.text().or_else(|| item.text_at(&["source"]));
                given.extend(source.map(|s| (s.to_owned(), part.document.place(item))));
            }
        }
        for (source, place) in given {
            let declared = self.documents.iter().find_map(|d| Some((*d, d.tree.get("secrets")?.get(&source)?)));
            let kept = declared.map_or("declared nowhere", |(_, tree)| {
                let has = |key| tree.get(key).is_some();
                match (has("file"), has("environment"), has("external")) {
                    (true, ..) => "kept in a file beside the compose file",
                    (_, true, _) => "taken from the environment of whoever starts it",
                    (.., true) => "kept by docker",
                    _ => "declared without a source",
                }
            });
            let key = format!("compose:{}:secret:{source}", self.directory);
            let datum = self.draft.data(&key, &source);
            let name = datum.set("class", "secret").comment(format!("{place}: {kept}")).name().to_owned();
            self.given(&name, &node, store, &place);
        }
    }

    /// How a store asks for proof, by what it is given.
    pub(super) fn store_auth(&self, at: usize, product: Option<Product>) -> Option<(&'static str, String)> {
        let service = self.services.get(at)?;
        let variables = self.variables(at);
        let says = |name: &str, values: &[&str]| {
            let value = variables.iter().find(|v| v.name.eq_ignore_ascii_case(name))?.value.clone()?;
            values.contains(&value.to_ascii_lowercase().as_str()).then(|| name.to_owned())
        };
        let open = says("POSTGRES_HOST_AUTH_METHOD", &["trust"])
            .or_else(|| says("ALLOW_EMPTY_PASSWORD", &["yes", "true", "1"]))
            .or_else(|| says("MYSQL_ALLOW_EMPTY_PASSWORD", &["yes", "true", "1"]))
            .or_else(|| says("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", &["yes", "true", "1"]))
            .or_else(|| says("xpack.security.enabled", &["false"]))
            .or_else(|| says("DISABLE_SECURITY_PLUGIN", &["true"]))
            .or_else(|| says("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED", &["true"]));
        if let Some(name) = open {
            return Some(("none", format!("`{name}` says so")));
        }
        let password = variables.iter().find(|v| {
            environment::is_secret(v.name.trim_end_matches("_FILE"), v.value.as_deref())
                || v.name.eq_ignore_ascii_case("NEO4J_AUTH")
        });
        if let Some(variable) = password {
            return Some(("password", format!("it is given `{}`", variable.name)));
        }
        let flag = |word: &String| matches!(word.trim_start_matches('-'), "requirepass" | "auth" | "aclfile");
        if service.each(&["command"]).any(|(_, tree)| command(tree).iter().any(flag)) {
            return Some(("password", "its command says so".to_owned()));
        }
        // A file that is not read may say something else.
        if service.first(&["env_file"]).is_some() || service.first(&["secrets"]).is_some() {
            return None;
        }
        match product?.name {
            "redis" | "valkey" | "keydb" | "dragonfly" | "memcached" | "mongo" | "mongodb" | "zookeeper" | "kafka"
            | "redpanda" | "nats" | "etcd" | "qdrant" | "registry" => {
                Some(("none", "it is told no password, and asks for none by itself".to_owned()))
            }
            "rabbitmq" => Some(("password", "that is how it comes".to_owned())),
            _ => None,
        }
    }

    /// Whether a service names a secret in a variable: `DB_PASSWORD_FILE: /run/secrets/db`.
    pub(super) fn secret_named(&self, at: usize, prefix: &str) -> Vec<String> {
        let Some(service) = self.services.get(at) else { return Vec::new() };
        let own = format!("compose:{}:secret:", self.directory);
        let mut found = Vec::new();
        for variable in self.variables(at) {
            let begins = variable.name.split(['_', '.', '-']).next().is_some_and(|p| p.eq_ignore_ascii_case(prefix));
            if !begins {
                continue;
            }
            let mut keys = Vec::new();
            if environment::is_secret(variable.name, variable.value.as_deref()) {
                let known = variable.value.as_ref().and_then(|v| self.values.get(v)).cloned();
                found.extend(known);
                keys.push(format!("{own}{}.{}", service.name, variable.name));
            }
            let file = variable.value.as_deref().and_then(|v| v.strip_prefix("/run/secrets/"));
            keys.extend(file.map(|name| format!("{own}{name}")));
            found.extend(keys.iter().filter_map(|key| Some(self.draft.find(Kind::Data, key)?.name().to_owned())));
        }
        found.sort();
        found.dedup();
        found
    }
}

/// The volumes of a service as pairs of what is mounted and where.
pub(super) fn mounts(tree: &Tree) -> Vec<(String, String)> {
    let one = |item: &Tree| match &item.kind {
        TreeKind::Scalar { text, .. } => {
            let text = environment::interpolate(text);
            let mut parts = text.split(':');
            Some((parts.next()?.to_owned(), parts.next().unwrap_or_default().to_owned()))
        }
        _ => {
            let text = |key| item.text_at(&[key]).map(environment::interpolate).unwrap_or_default();
            Some((text("source"), text("target")))
        }
    };
    tree.items().iter().filter_map(one).collect()
}

/// The labels of a service.
pub(super) fn labels(tree: &Tree) -> Vec<&str> {
    names(tree).into_iter().map(|(name, _)| name.split('=').next().unwrap_or_default()).collect()
}
