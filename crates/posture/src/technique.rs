//! Steps in words of the model, each with the technique of MITRE ATT&CK that it is, and the place where the model says so.
use std::fmt;

use model::{Auth, Class};
use serde::Serialize;

use crate::{
    closure::{By, Fact, Step, is_login, is_weak_login},
    entry::asks_for_token,
    view::{Exposed, FlowId, NodeId, View},
};

/// A technique of ATT&CK for Enterprise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Technique {
    /// `T1078.004`.
    pub id: &'static str,
    /// Its name there; of a sub-technique with its parent's.
    pub name: &'static str,
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}

const fn technique(id: &'static str, name: &'static str) -> Technique {
    Technique { id, name }
}

const FILES: Technique = technique("T1005", "Data from Local System");
const DISCOVERY: Technique = technique("T1016", "System Network Configuration Discovery");
const REMOTE: Technique = technique("T1021", "Remote Services");
const SSH: Technique = technique("T1021.004", "Remote Services: SSH");
const SNIFFING: Technique = technique("T1040", "Network Sniffing");
const ACCOUNTS: Technique = technique("T1078", "Valid Accounts");
const CLOUD_ACCOUNTS: Technique = technique("T1078.004", "Valid Accounts: Cloud Accounts");
const PROXY: Technique = technique("T1090.001", "Proxy: Internal Proxy");
const BRUTE_FORCE: Technique = technique("T1110", "Brute Force");
const EXTERNAL: Technique = technique("T1133", "External Remote Services");
const DEPLOYMENT: Technique = technique("T1072", "Software Deployment Tools");
const EXPLOIT: Technique = technique("T1190", "Exploit Public-Facing Application");
const REPOSITORIES: Technique = technique("T1213", "Data from Information Repositories");
const CLOUD_STORAGE: Technique = technique("T1530", "Data from Cloud Storage");
const SUPPLY_CHAIN: Technique = technique("T1195.002", "Supply Chain Compromise: Compromise Software Supply Chain");
const TOKEN: Technique = technique("T1550.001", "Use Alternate Authentication Material: Application Access Token");
const UNSECURED: Technique = technique("T1552", "Unsecured Credentials");
const CREDENTIAL_FILES: Technique = technique("T1552.001", "Unsecured Credentials: Credentials In Files");
const METADATA: Technique = technique("T1552.005", "Unsecured Credentials: Cloud Instance Metadata API");
const CONTAINER_API: Technique = technique("T1552.007", "Unsecured Credentials: Container API");
const SECRET_STORES: Technique =
    technique("T1555.006", "Credentials from Password Stores: Cloud Secrets Management Stores");
const CONTAINER_COMMAND: Technique = technique("T1609", "Container Administration Command");
const CLOUD_COMMAND: Technique = technique("T1651", "Cloud Administration Command");
const SCANNING: Technique = technique("T1595", "Active Scanning");
const STORAGE_DISCOVERY: Technique = technique("T1619", "Cloud Storage Object Discovery");

/// Every technique that a step can be.
pub const TECHNIQUES: &[Technique] = &[
    FILES,
    DISCOVERY,
    REMOTE,
    SSH,
    SNIFFING,
    ACCOUNTS,
    CLOUD_ACCOUNTS,
    PROXY,
    BRUTE_FORCE,
    EXTERNAL,
    DEPLOYMENT,
    EXPLOIT,
    SUPPLY_CHAIN,
    REPOSITORIES,
    CLOUD_STORAGE,
    TOKEN,
    UNSECURED,
    CREDENTIAL_FILES,
    METADATA,
    CONTAINER_API,
    SECRET_STORES,
    SCANNING,
    CONTAINER_COMMAND,
    STORAGE_DISCOVERY,
    CLOUD_COMMAND,
];

/// Which technique a step is; what is given is none.
pub(crate) fn of(view: &View<'_>, step: &Step) -> Option<Technique> {
    let secret = matches!(step.fact, Fact::Hold(datum) if view.class(datum) == Class::Secret);
    Some(match step.by {
        By::Given => return None,
        By::Lies => match (step.fact, step.from[0]) {
            (Fact::Administer(_), Some(Fact::Control(admin))) => match view.node(admin).node.auth {
                Some(Auth::Iam | Auth::Sigv4) => CLOUD_COMMAND,
                Some(Auth::Rbac) => CONTAINER_COMMAND,
                _ => DEPLOYMENT,
            },
            (Fact::Administer(_), _) => return None,
            _ => DISCOVERY,
        },
        By::Administered(_) | By::Runs(_) => return None,
        By::Forged(_) => SUPPLY_CHAIN,
        By::Exposed(_, node) => {
            let of = view.node(node);
            match (of.exposed.is_some(), is_login(view, node) || of.node.admin) {
                (_, true) => EXTERNAL,
                (true, false) if of.keeps() && !is_weak_login(view, node) => STORAGE_DISCOVERY,
                (true, false) if of.keeps() => EXTERNAL,
                _ => SCANNING,
            }
        }
        By::Party(_) => SCANNING,
        By::Flow(flow) if is_login(view, view.flow(flow).to) || via(view, flow, "ssh") => SSH,
        By::Flow(_) => REMOTE,
        By::Forwarded(_) => PROXY,
        By::Open(node) if view.node(node).keeps() => CLOUD_STORAGE,
        By::Open(_) if secret => METADATA,
        By::Open(_) => REPOSITORIES,
        By::Inside(node) if secret && view.node(node).node.auth == Some(Auth::Rbac) => CONTAINER_API,
        By::Inside(_) if secret => CREDENTIAL_FILES,
        By::Inside(_) => FILES,
        By::Moved(flow) => {
            let (of, to) = (view.flow(flow), view.node(view.flow(flow).to));
            let rbac = |node: NodeId| view.node(node).node.auth == Some(Auth::Rbac);
            match secret {
                true if rbac(of.from) || rbac(of.to) => CONTAINER_API,
                true if to.keeps() && matches!(to.node.auth, Some(Auth::Iam | Auth::Sigv4)) => SECRET_STORES,
                true => UNSECURED,
                false => REPOSITORIES,
            }
        }
        By::Opened(_, node) => match (is_login(view, node), view.node(node).node.auth) {
            (true, Some(Auth::Key)) => SSH,
            (_, Some(Auth::Iam | Auth::Sigv4)) => CLOUD_ACCOUNTS,
            (_, Some(Auth::Token | Auth::Rbac | Auth::Jwt | Auth::SessionToken)) => TOKEN,
            _ => ACCOUNTS,
        },
        By::Exploit(_) => EXPLOIT,
        By::Login(node) => match (view.node(node).node.auth, is_login(view, node)) {
            (Some(Auth::Key), true) => SSH,
            (Some(Auth::Key), false) => ACCOUNTS,
            _ => BRUTE_FORCE,
        },
        By::Sniffed(_) => SNIFFING,
    })
}

/// A step as a sentence of the model's names, the attacker being who it speaks of.
pub(crate) fn sentence(view: &View<'_>, step: &Step) -> String {
    let node = |node: NodeId| &view.node(node).name;
    let flow = |flow: FlowId| &view.flow(flow).flow.id;
    let ends = |id: FlowId| (node(view.flow(id).from), node(view.flow(id).to));
    let zone = |zone: usize| view.model.zones.keys().nth(zone).map_or("", |z| z.as_str());
    let got = match step.fact {
        Fact::Hold(datum) | Fact::Forge(datum) => format!("`{}`", view.datum(datum).name),
        Fact::Reach(n) | Fact::Control(n) => format!("`{}`", node(n)),
        Fact::Stand(z) | Fact::Administer(z) => format!("`{}`", zone(z)),
    };
    match step.by {
        By::Given => match step.fact {
            Fact::Stand(_) => format!("is somewhere in {got}"),
            Fact::Reach(_) => format!("can reach {got}"),
            Fact::Control(_) => format!("controls {got}"),
            Fact::Hold(_) => format!("has {got}"),
            Fact::Forge(_) => format!("decides what is in {got}"),
            Fact::Administer(_) => format!("administers what lies in {got}"),
        },
        By::Lies if matches!(step.fact, Fact::Administer(_)) => match step.from[0] {
            Some(Fact::Control(admin)) => format!("administers by `{}` what lies in {got}", node(admin)),
            _ => format!("and so what lies in {got}, which is inside"),
        },
        By::Forged(n) => format!("puts his own into {got}, which comes from `{}`", node(n)),
        By::Runs(f) => match step.fact {
            Fact::Control(n) if n == view.flow(f).from => {
                format!("controls {got}, which fetches it by `{}` and runs it", flow(f))
            }
            _ => format!("controls {got}, which is sent it by `{}` and runs it", flow(f)),
        },
        By::Administered(_) => format!("takes {got}, which lies there"),
        By::Lies => format!("looks around from there: {got} lies open to it"),
        By::Exposed(z, n) => match view.node(n).exposed {
            Some(Exposed::Stated(_)) | None => format!("connects to {got}, which is exposed to `{}`", zone(z)),
            Some(Exposed::Flow(_)) => format!("connects to {got} from `{}`", zone(z)),
        },
        By::Party(f) if asks_for_token(view, view.flow(f)) => {
            format!("connects to {got}, as `{}` does by `{}`, and has no token", ends(f).0, flow(f))
        }
        By::Party(f) => format!("sends requests to {got}, as anybody there may by `{}`", flow(f)),
        By::Flow(f) => format!("goes on from `{}` to {got} by its flow `{}`", ends(f).0, flow(f)),
        By::Forwarded(f) => {
            let with = match step.from[1] {
                Some(Fact::Hold(token)) => format!(", with `{}`", view.datum(token).name),
                Some(Fact::Control(party)) => format!(", being `{}`", node(party)),
                _ => String::new(),
            };
            format!("has `{}` pass requests on to {got} by `{}`{with}", ends(f).0, flow(f))
        }
        By::Open(n) => format!("gets {got} from `{}`, which asks for no proof", node(n)),
        By::Inside(n) => format!("finds {got} on `{}`", node(n)),
        By::Moved(f) => format!("gets {got}, which moves on `{}` between `{}` and `{}`", flow(f), ends(f).0, ends(f).1),
        By::Opened(secret, n) => {
            let secret = view.datum(secret).name;
            match step.fact {
                Fact::Control(_) if view.node(n).node.admin => format!("administers {got} with `{secret}`"),
                Fact::Control(_) => format!("logs in to {got} with `{secret}`"),
                _ => format!("opens `{}` with `{secret}` and reads {got}", node(n)),
            }
        }
        By::Exploit(n) => format!("breaks into `{}`, whose requests nothing filters", node(n)),
        By::Login(n) => {
            let with = match view.node(n).node.auth {
                Some(Auth::Key) => "a stolen key",
                Some(Auth::Password) => "a guessed or stolen password",
                _ => "nothing, for it asks for nothing",
            };
            format!("logs in to `{}` with {with}", node(n))
        }
        By::Sniffed(f) => {
            format!(
                "reads {got} off the wire between `{}` and `{}`: `{}` is not encrypted",
                ends(f).0,
                ends(f).1,
                flow(f)
            )
        }
    }
}

/// Where the model says what makes the step possible.
pub(crate) fn place(view: &View<'_>, step: &Step) -> Vec<String> {
    let node = |n: NodeId| view.node(n).name.as_str();
    let flow = |f: FlowId| view.flow(f).flow.id.as_str();
    let path: Vec<&str> = match step.by {
        By::Given => match step.fact {
            Fact::Stand(zone) | Fact::Administer(zone) => {
                vec!["zones", view.model.zones.keys().nth(zone).map_or("", |z| z.as_str())]
            }
            Fact::Reach(n) | Fact::Control(n) => vec!["nodes", node(n)],
            Fact::Hold(datum) | Fact::Forge(datum) => vec!["data", view.datum(datum).name.as_str()],
        },
        By::Administered(n) => vec!["nodes", node(n), "zone"],
        By::Lies => match step.from[0] {
            _ if let Fact::Administer(zone) = step.fact => {
                vec!["zones", view.model.zones.keys().nth(zone).map_or("", |z| z.as_str())]
            }
            Some(Fact::Control(n)) => vec!["nodes", node(n), "zone"],
            Some(Fact::Stand(zone)) => {
                vec!["zones", view.model.zones.keys().nth(zone).map_or("", |z| z.as_str()), "in"]
            }
            _ => Vec::new(),
        },
        By::Exposed(_, n) => vec!["nodes", node(n), "exposed_to"],
        By::Party(f) | By::Flow(f) | By::Forwarded(f) | By::Moved(f) | By::Runs(f) => vec!["flows", flow(f)],
        By::Forged(n) => vec!["nodes", node(n)],
        By::Open(n) | By::Login(n) => vec!["nodes", node(n), "auth"],
        By::Inside(n) => vec!["nodes", node(n), "holds"],
        By::Opened(secret, _) => vec!["data", view.datum(secret).name.as_str(), "opens"],
        By::Exploit(n) => vec!["nodes", node(n), "guards"],
        By::Sniffed(f) => vec!["flows", flow(f), "via", "tls"],
    };
    path.into_iter().map(str::to_owned).collect()
}

/// Whether it is something weak, and not what the system is meant to do.
pub(crate) fn is_weakness(by: By) -> bool {
    matches!(by, By::Open(_) | By::Opened(..) | By::Exploit(_) | By::Login(_) | By::Sniffed(_))
}

/// What is weak, as people and other models name it: the part of an essential way.
pub(crate) fn weakness(view: &View<'_>, by: By) -> Option<String> {
    let node = |n: NodeId| &view.node(n).name;
    Some(match by {
        By::Open(n) => format!("open {}", node(n)),
        By::Opened(secret, n) => format!("{} opens {}", view.datum(secret).name, node(n)),
        By::Exploit(n) => format!("exploit {}", node(n)),
        By::Login(n) => format!("login {}", node(n)),
        By::Sniffed(f) => format!("sniff {}", view.flow(f).flow.id),
        By::Given
        | By::Lies
        | By::Exposed(..)
        | By::Party(_)
        | By::Flow(_)
        | By::Forwarded(_)
        | By::Inside(_)
        | By::Moved(_)
        | By::Administered(_)
        | By::Forged(_)
        | By::Runs(_) => return None,
    })
}

/// Whether a flow says this word.
fn via(view: &View<'_>, flow: FlowId, word: &str) -> bool {
    view.flow(flow).flow.via.words.get(word).is_some_and(|v| v.as_bool() == Some(true))
}
