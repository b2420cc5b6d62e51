//! Threagile models: technical assets as nodes, trust boundaries as zones, communication links as flows.
//!
//! Words are those of Threagile's `pkg/types`. What it has and Ward has no word for is told.
use std::collections::{HashMap, HashSet};

use model::tree::{Kind as TreeKind, Tree};

use super::{Document, ImportError, place};
use crate::draft::{Draft, Kind, Noun};

/// Deepest nesting of boundaries that is followed.
const CHAIN_MAX: usize = 64;

/// Reads documents into a draft.
///
/// # Errors
/// A document cannot be taken.
pub fn read(documents: &[Document<'_>], draft: &mut Draft) -> Result<(), ImportError> {
    if let Some(broken) = documents.iter().find(|d| !matches!(d.tree.kind, TreeKind::Map(_) | TreeKind::Null)) {
        return Err(ImportError::Refused {
            place: broken.place(&broken.tree),
            why: "a Threagile model is a mapping, with `technical_assets` and `data_assets`".to_owned(),
        });
    }
    let mut import = Import { draft, ids: HashMap::new(), links: Vec::new(), zones: HashMap::new() };
    for document in documents {
        if let Some(title) = document.tree.text_at(&["title"]) {
            import.draft.title(title);
        }
        import.data(document);
        import.boundaries(document);
    }
    for document in documents {
        import.nest(document);
    }
    for document in documents {
        import.assets(document);
    }
    for link in std::mem::take(&mut import.links) {
        import.link(&link);
    }
    for document in documents {
        import.tell(document);
    }
    Ok(())
}

struct Import<'d, 't> {
    draft: &'d mut Draft,
    /// Names in the model by id; assets may be named by their title too.
    ids: HashMap<(Kind, String), String>,
    links: Vec<Link<'t>>,
    /// The zone of an asset, by its id.
    zones: HashMap<String, String>,
}

/// A communication link, and where it begins.
struct Link<'t> {
    file: &'t str,
    from: String,
    title: &'t str,
    tree: &'t Tree,
}

impl<'t> Import<'_, 't> {
    fn data(&mut self, document: &'t Document<'t>) {
        for (title, asset) in entries(&document.tree, "data_assets") {
            let id = asset.text_at(&["id"]).unwrap_or(title);
            let datum = self.draft.data(&format!("threagile:{id}"), id);
            let word = asset.text_at(&["confidentiality"]).unwrap_or_default();
            match class(word) {
                Some(class) => {
                    datum.set("class", class);
                    if class != word {
                        datum.comment(format!("`{word}` in Threagile"));
                    }
                }
                None => _ = datum.guess("class", "internal", "its `confidentiality` is not written"),
            }
            let name = datum.name().to_owned();
            self.ids.insert((Kind::Data, id.to_owned()), name);
            if class(word).is_none() && !word.is_empty() {
                self.strange(document.file, asset, "confidentiality", word);
            }
        }
    }

    fn boundaries(&mut self, document: &'t Document<'t>) {
        for (title, boundary) in entries(&document.tree, "trust_boundaries") {
            let id = boundary.text_at(&["id"]).unwrap_or(title);
            let zone = self.draft.zone(&format!("threagile:{id}"), id).name().to_owned();
            self.ids.insert((Kind::Zone, id.to_owned()), zone.clone());
            for asset in texts(boundary, "technical_assets_inside") {
                if let Some(before) = self.zones.get(asset).filter(|before| **before != zone) {
                    let what = format!("`{asset}` in `{zone}`");
                    let why = format!("it is in `{before}` already, and a node is in one zone");
                    self.draft.left_out(place(document.file, boundary.line), what, why);
                    continue;
                }
                self.zones.insert(asset.to_owned(), zone.clone());
            }
        }
    }

    fn nest(&mut self, document: &'t Document<'t>) {
        for (title, boundary) in entries(&document.tree, "trust_boundaries") {
            let id = boundary.text_at(&["id"]).unwrap_or(title);
            let Some(outer) = self.ids.get(&(Kind::Zone, id.to_owned())).cloned() else { continue };
            for inner in texts(boundary, "trust_boundaries_nested") {
                let Some(inner) = self.ids.get(&(Kind::Zone, inner.to_owned())).cloned() else {
                    let what = format!("boundary `{inner}` in `{id}`");
                    self.draft.left_out(place(document.file, boundary.line), what, "there is no such boundary");
                    continue;
                };
                if self.is_inside(&outer, &inner) {
                    let what = format!("`{inner}` in `{outer}`");
                    self.draft.left_out(
                        place(document.file, boundary.line),
                        what,
                        "the boundaries would lie in each other",
                    );
                } else if let Some(zone) = self.draft.named(Kind::Zone, &inner) {
                    zone.set("in", outer.as_str());
                }
            }
        }
    }

    /// Whether a zone is another one or lies in it; one too deep to tell counts as inside.
    fn is_inside(&mut self, zone: &str, other: &str) -> bool {
        let mut at = zone.to_owned();
        for _ in 0..CHAIN_MAX {
            if at == other {
                return true;
            }
            match self.draft.named(Kind::Zone, &at).and_then(|z| z.text("in").map(str::to_owned)) {
                Some(outer) => at = outer,
                None => return false,
            }
        }
        true
    }

    fn assets(&mut self, document: &'t Document<'t>) {
        for (title, asset) in entries(&document.tree, "technical_assets") {
            let id = asset.text_at(&["id"]).unwrap_or(title);
            let internet = asset.get("internet").and_then(Tree::bool) == Some(true);
            let kind = asset.text_at(&["type"]).unwrap_or_default();
            let technologies: Vec<&str> =
                asset.text_at(&["technology"]).into_iter().chain(texts(asset, "technologies")).collect();
            let is_client = technologies.iter().any(|t| CLIENTS.contains(t));
            let is_person = asset.get("used_as_client_by_human").and_then(Tree::bool) == Some(true)
                || kind == "external-entity" && is_client;
            let own = self.zones.get(id).cloned();
            // What is outside of every boundary and on the internet is there; what is in one can be reached from there.
            let outside = internet.then(|| self.draft.internet());
            let held: Vec<String> = self.named(document.file, asset, "data_assets_stored");
            let read: Vec<String> = self.named(document.file, asset, "data_assets_processed");
            let node = self.draft.node(&format!("threagile:{id}"), id);
            match (is_person, kind) {
                (true, _) => _ = node.set("kind", "party"),
                (_, "datastore") => _ = node.set("kind", "store"),
                (_, "process" | "external-entity") => _ = node.set("kind", "service"),
                _ => _ = node.guess("kind", "service", "its `type` is not written"),
            }
            if kind == "external-entity" && !is_person {
                node.comment("of somebody else (`external-entity`)");
            }
            match (own, outside) {
                (Some(zone), Some(outside)) if !is_person => _ = node.set("zone", zone).add("exposed_to", outside),
                (Some(zone), _) => _ = node.set("zone", zone),
                (None, Some(outside)) if is_person || kind == "external-entity" => _ = node.set("zone", outside),
                (None, Some(outside)) => _ = node.add("exposed_to", outside),
                (None, None) => {}
            }
            if kind == "datastore" {
                match asset.text_at(&["encryption"]) {
                    Some("none") => _ = node.set("at_rest", "none"),
                    Some("transparent") => _ = node.set("at_rest", "volume"),
                    Some(
                        word @ ("data-with-symmetric-shared-key"
                        | "data-with-asymmetric-shared-key"
                        | "data-with-end-user-individual-key"),
                    ) => {
                        node.guess("at_rest", "kms", format!("`{word}`: whoever has the disk has no key"));
                    }
                    _ => {}
                }
            }
            if technologies
                .iter()
                .any(|t| matches!(*t, "waf" | "web-application-firewall" | "ips" | "intrusion-prevention-system"))
            {
                node.add("guards", "waf");
            }
            if asset.get("out_of_scope").and_then(Tree::bool) == Some(true) {
                node.comment("out of scope there: what is found of it is somebody else's to mend");
            }
            for datum in held {
                node.add("holds", datum);
            }
            // A party reads what it asks for, and a balancer passes on what it does not need.
            let passes = technologies
                .iter()
                .any(|t| matches!(*t, "load-balancer" | "reverse-proxy" | "gateway" | "waf" | "service-mesh"));
            for datum in read.into_iter().filter(|_| !passes && !is_person) {
                node.add("reads", datum);
            }
            let name = node.name().to_owned();
            self.ids.insert((Kind::Node, id.to_owned()), name.clone());
            self.ids.entry((Kind::Node, title.clone())).or_insert_with(|| name.clone());
            if !matches!(kind, "" | "process" | "datastore" | "external-entity") {
                self.strange(document.file, asset, "type", kind);
            }
            for (title, link) in entries(asset, "communication_links") {
                self.links.push(Link { file: document.file, from: name.clone(), title, tree: link });
            }
        }
    }

    fn link(&mut self, link: &Link<'t>) {
        let target = link.tree.text_at(&["target"]).unwrap_or_default();
        let Some(to) = self.ids.get(&(Kind::Node, target.to_owned())).cloned() else {
            let what = format!("link `{}` of `{}` to `{target}`", link.title, link.from);
            return self.draft.left_out(place(link.file, link.tree.line), what, "there is no such technical asset");
        };
        if to == link.from {
            let what = format!("link `{}` of `{}` to itself", link.title, link.from);
            return self.draft.left_out(place(link.file, link.tree.line), what, "a flow has two ends");
        }
        let sent = self.named(link.file, link.tree, "data_assets_sent");
        let received = self.named(link.file, link.tree, "data_assets_received");
        let is = |key: &str| link.tree.get(key).and_then(Tree::bool) == Some(true);
        let protocol = link.tree.text_at(&["protocol"]).unwrap_or_default();
        let authentication = link.tree.text_at(&["authentication"]).unwrap_or_default();
        let key = format!("threagile:{}:{}", link.from, link.title);
        let flow = self.draft.flow(&key, link.title, &link.from, &to);
        for datum in &sent {
            flow.add("carries", datum.as_str());
        }
        for datum in &received {
            flow.add("returns", datum.as_str());
        }
        let way = way(protocol);
        match way {
            Some(Way::Tls) => {
                _ = flow.guess_via(
                    "tls",
                    "1.2",
                    format!("`{protocol}` is encrypted; with which version is not written"),
                )
            }
            Some(Way::Plain) if is("vpn") => {
                _ = flow.guess_via("local", true, format!("`{protocol}` through a VPN, which encrypts it"))
            }
            Some(Way::Plain) => _ = flow.via("tls", "none"),
            Some(Way::Ssh) => _ = flow.via("ssh", true),
            Some(Way::Local) => _ = flow.via("local", true),
            Some(Way::Open) | None => {}
        }
        let is_known = authenticate(flow, authentication);
        if is("readonly") {
            flow.comment("it only reads there");
        }
        if is("vpn") && way != Some(Way::Plain) {
            flow.comment("through a VPN");
        }
        if is("ip_filtered") {
            flow.comment("from known addresses only");
        }
        if !is_known {
            self.strange(link.file, link.tree, "authentication", authentication);
        }
        if way.is_none() && !protocol.is_empty() {
            self.strange(link.file, link.tree, "protocol", protocol);
        }
    }

    /// The names of data that a list names by id.
    fn named(&mut self, file: &str, tree: &Tree, key: &str) -> Vec<String> {
        let mut found = Vec::new();
        for id in texts(tree, key) {
            match self.ids.get(&(Kind::Data, id.to_owned())) {
                Some(name) => found.push(name.clone()),
                None => {
                    self.draft.left_out(place(file, tree.line), format!("`{key}`: {id}"), "there is no such data asset")
                }
            }
        }
        found
    }

    fn strange(&mut self, file: &str, tree: &Tree, key: &str, word: &str) {
        self.draft.left_out(place(file, tree.line), format!("`{key}: {word}`"), "Threagile has no such word");
    }

    fn tell(&mut self, document: &Document<'_>) {
        let told = [
            (
                "risk_tracking",
                "a waiver needs an owner and a last day, and names Ward's findings: look at these when Ward finds them",
            ),
            ("individual_risk_categories", "risks that people found stand in no diagram: Ward finds by rules"),
            ("custom_risk_categories", "risks that people found stand in no diagram: Ward finds by rules"),
            ("shared_runtimes", "Ward has no word for it: draw a zone around what falls together"),
            ("abuse_cases", "it is text; ask `ward paths` instead"),
            ("security_requirements", "it is text; say it of data and zones, or as `invariants`"),
            ("questions", "it is text"),
            ("includes", "give these files to `ward import` too"),
        ];
        for (key, why) in told {
            let Some(tree) = document.tree.get(key) else { continue };
            let count = tree.entries().len().max(tree.items().len());
            if count > 0 {
                self.draft.left_out(place(document.file, tree.line), format!("{key} ({count})"), why);
            }
        }
        let known: HashSet<&str> = told.iter().map(|(key, _)| *key).chain(KNOWN).collect();
        for (key, tree) in document.tree.entries() {
            if !known.contains(key.as_str()) && !key.starts_with("diagram_tweak_") {
                self.draft.left_out(place(document.file, tree.line), format!("`{key}`"), "Ward does not know it");
            }
        }
    }
}

/// What stands at the head of a model, and is read or only describes.
const KNOWN: [&str; 15] = [
    "threagile_version",
    "title",
    "date",
    "author",
    "contributors",
    "management_summary_comment",
    "business_criticality",
    "business_overview",
    "technical_overview",
    "application_description",
    "tags_available",
    "data_assets",
    "technical_assets",
    "trust_boundaries",
    "model",
];

/// Technologies that people hold in their hands.
const CLIENTS: [&str; 9] = [
    "browser",
    "web-browser",
    "desktop",
    "desktop-system",
    "mobile-app",
    "client-system",
    "client",
    "devops-client",
    "cli",
];

/// What protects a link on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tls,
    Plain,
    Ssh,
    /// It stays on the machine.
    Local,
    /// It is encrypted or not, as configured.
    Open,
}

/// What a protocol says (`pkg/types/protocol.go`).
fn way(protocol: &str) -> Option<Way> {
    Some(match protocol {
        "https" | "wss" | "ldaps" | "ftps" => Way::Tls,
        "ssh" | "ssh-tunnel" | "sftp" | "scp" => Way::Ssh,
        "local-file-access" | "in-process-library-call" | "inter-process-communication" | "container-spawning" => {
            Way::Local
        }
        "http"
        | "ws"
        | "reverse-proxy-web-protocol"
        | "jdbc"
        | "odbc"
        | "sql-access-protocol"
        | "nosql-access-protocol"
        | "binary"
        | "text"
        | "smtp"
        | "pop3"
        | "imap"
        | "ftp"
        | "ldap"
        | "nfs"
        | "smb"
        | "nrpe"
        | "iiop"
        | "jrmp" => Way::Plain,
        "mqtt" | "jms" | "xmpp" | "unknown-protocol" => Way::Open,
        "reverse-proxy-web-protocol-encrypted"
        | "jdbc-encrypted"
        | "odbc-encrypted"
        | "sql-access-protocol-encrypted"
        | "nosql-access-protocol-encrypted"
        | "binary-encrypted"
        | "text-encrypted"
        | "smtp-encrypted"
        | "pop3-encrypted"
        | "imap-encrypted"
        | "smb-encrypted"
        | "iiop-encrypted"
        | "jrmp-encrypted" => Way::Tls,
        _ => return None,
    })
}

/// How the caller proves who it is. Whether the word is known.
fn authenticate(flow: &mut Noun, word: &str) -> bool {
    match word {
        "" => {}
        "none" => _ = flow.via("auth", "none"),
        "credentials" => _ = flow.via("auth", "password"),
        "session-id" | "token" => _ = flow.via("auth", "token"),
        "client-certificate" => _ = flow.via("mtls", true),
        "two-factor" => _ = flow.guess_via("auth", "oidc", "two factors; how they are asked for is not written"),
        "externalized" => _ = flow.guess_via("auth", "oidc", "somebody else does it; how is not written"),
        _ => return false,
    }
    true
}

/// Our class for a confidentiality. Ours have one level less between internal and worst; `secret` is for credentials only.
fn class(word: &str) -> Option<&'static str> {
    Some(match word {
        "public" => "public",
        "internal" => "internal",
        "restricted" | "confidential" => "confidential",
        "strictly-confidential" => "restricted",
        _ => return None,
    })
}

/// The entries of a mapping under a key.
fn entries<'a>(tree: &'a Tree, key: &str) -> &'a [(String, Tree)] {
    tree.get(key).map_or(&[], Tree::entries)
}

/// The texts of a list under a key.
fn texts<'a>(tree: &'a Tree, key: &str) -> impl Iterator<Item = &'a str> {
    tree.get(key).map_or(&[][..], Tree::items).iter().filter_map(Tree::text)
}

#[cfg(test)]
mod tests;
