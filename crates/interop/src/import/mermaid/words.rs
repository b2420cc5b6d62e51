//! What words of people say: what a box is, whom a boundary trusts, what an arrow carries and how. Every one of these is a guess.
/// The last word of who is no part of the system.
const PARTIES: [&str; 39] = [
    "user",
    "users",
    "client",
    "clients",
    "customer",
    "customers",
    "visitor",
    "visitors",
    "browser",
    "browsers",
    "person",
    "people",
    "admin",
    "admins",
    "administrator",
    "administrators",
    "operator",
    "operators",
    "developer",
    "developers",
    "engineer",
    "engineers",
    "analyst",
    "analysts",
    "auditor",
    "auditors",
    "employee",
    "employees",
    "guest",
    "guests",
    "shopper",
    "buyer",
    "seller",
    "patient",
    "doctor",
    "student",
    "teacher",
    "member",
    "members",
];
/// Devices of people, where a word of [`PARTIES`] or one of these stands before.
const DEVICES: [&str; 8] = ["app", "apps", "application", "device", "devices", "phone", "laptop", "browser"];
/// People who are not just anybody.
const STAFF: [&str; 14] = [
    "admin",
    "admins",
    "administrator",
    "administrators",
    "operator",
    "operators",
    "developer",
    "developers",
    "engineer",
    "engineers",
    "analyst",
    "auditor",
    "employee",
    "employees",
];
const HOSTILE: [&str; 11] = [
    "attacker",
    "attackers",
    "hacker",
    "hackers",
    "adversary",
    "adversaries",
    "intruder",
    "malicious",
    "malware",
    "botnet",
    "rogue",
];
/// The last word of what keeps data.
const STORES: [&str; 48] = [
    "db",
    "dbs",
    "database",
    "databases",
    "datastore",
    "datastores",
    "data",
    "store",
    "stores",
    "storage",
    "bucket",
    "buckets",
    "blob",
    "cache",
    "caches",
    "queue",
    "queues",
    "topic",
    "topics",
    "warehouse",
    "lake",
    "lakehouse",
    "ledger",
    "registry",
    "repository",
    "repo",
    "volume",
    "volumes",
    "disk",
    "disks",
    "table",
    "tables",
    "archive",
    "filesystem",
    "secret",
    "secrets",
    "credentials",
    "creds",
    "key",
    "keys",
    "parameter",
    "parameters",
    "logs",
    "trails",
    "backups",
    "replica",
    "replicas",
    "stream",
];
/// Products that keep data, unless the last word says that it is something beside them.
const PRODUCTS: [&str; 46] = [
    "postgres",
    "postgresql",
    "pg",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "redis",
    "valkey",
    "memcached",
    "dynamodb",
    "rds",
    "aurora",
    "cassandra",
    "scylla",
    "scylladb",
    "cockroachdb",
    "elasticsearch",
    "opensearch",
    "elasticache",
    "s3",
    "gcs",
    "minio",
    "kafka",
    "rabbitmq",
    "sqs",
    "kinesis",
    "pulsar",
    "nats",
    "etcd",
    "sqlite",
    "oracle",
    "mssql",
    "snowflake",
    "bigquery",
    "redshift",
    "clickhouse",
    "influxdb",
    "neo4j",
    "couchdb",
    "firestore",
    "cosmosdb",
    "qdrant",
    "pinecone",
    "weaviate",
    "efs",
];
const BESIDE: [&str; 44] = [
    "service",
    "services",
    "api",
    "server",
    "servers",
    "exporter",
    "proxy",
    "operator",
    "client",
    "manager",
    "controller",
    "agent",
    "agents",
    "worker",
    "workers",
    "script",
    "job",
    "jobs",
    "gateway",
    "vm",
    "instance",
    "machine",
    "adapter",
    "consumer",
    "consumers",
    "producer",
    "producers",
    "connector",
    "sync",
    "app",
    "application",
    "backend",
    "frontend",
    "ui",
    "dashboard",
    "sdk",
    "handler",
    "function",
    "lambda",
    "driver",
    "sidecar",
    "processor",
    "engine",
    "uploader",
];
/// Boundaries around what is nobody's.
const OUTSIDE: [&str; 7] = ["internet", "external", "public", "untrusted", "outside", "world", "www"];
/// What is called public and lies inside all the same.
const INSIDE: [&str; 12] =
    ["subnet", "subnets", "cloud", "network", "vpc", "api", "apis", "zone", "tier", "layer", "key", "keys"];

/// What a word says that a box is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Guess {
    /// `party`, `store` or `service`, and the word that says so.
    pub(super) kind: Option<(&'static str, String)>,
    pub(super) hostile: bool,
    /// A party that is nobody's employee.
    pub(super) stranger: bool,
    pub(super) guards: Vec<&'static str>,
    /// A store that anybody can reach, by its name.
    pub(super) public: bool,
    /// A store that is encrypted, by its name.
    pub(super) encrypted: bool,
}

/// The words of a text in lower case, `orderService` two of them.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut small = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let camel = c.is_uppercase() && small && chars.peek().is_some_and(|n| n.is_lowercase());
        small = c.is_lowercase() || c.is_ascii_digit();
        if (camel || !c.is_alphanumeric()) && all.last().is_some_and(|w| !w.is_empty()) {
            all.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = all.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    all.retain(|w| !w.is_empty());
    all
}

/// What a box is, by what is written in it.
pub(super) fn of_box(text: &str) -> Guess {
    // `IMDS (169.254.169.254)`: what stands in brackets explains.
    let name = text.split(['(', '[', ',', '/']).map(str::trim).find(|t| !t.is_empty()).unwrap_or(text);
    let words = words(name);
    let has = |set: &[&str]| words.iter().find(|w| set.contains(&w.as_str())).cloned();
    let last = words.last().cloned().unwrap_or_default();
    let is_last = |set: &[&str]| set.contains(&last.as_str());
    let mut guess = Guess::default();
    let hostile = has(&HOSTILE).filter(|_| !is_last(&BESIDE)).or_else(|| {
        let threat =
            words.windows(2).any(|w| matches!(w, [a, b] if (a == "threat" || a == "bad") && b.starts_with("actor")));
        threat.then(|| "actor".to_owned())
    });
    if let Some(word) = hostile {
        return Guess { kind: Some(("party", word)), hostile: true, stranger: true, ..guess };
    }
    let device = is_last(&DEVICES) && words.iter().any(|w| PARTIES.contains(&w.as_str()) || w == "mobile");
    if is_last(&PARTIES) || device {
        guess.stranger = !is_last(&STAFF);
        guess.kind = Some(("party", last));
        return guess;
    }
    let product = has(&PRODUCTS).filter(|_| !is_last(&BESIDE) && !last.ends_with("er"));
    guess.kind = product.or_else(|| is_last(&STORES).then(|| last.clone())).map(|word| ("store", word));
    guess.public = guess.kind.is_some() && words.iter().any(|w| w == "public");
    guess.encrypted = guess.kind.is_some() && words.iter().any(|w| w == "encrypted");
    if guess.kind.is_none() {
        guess.kind = is_last(&BESIDE).then(|| ("service", last.clone()));
        if words.iter().any(|w| w == "waf") {
            guess.guards.push("waf");
        }
        if words.windows(2).any(|w| matches!(w, [a, b] if a == "rate" && b.starts_with("limit"))) {
            guess.guards.push("rate");
        }
    }
    guess
}

/// The word of a boundary that says that anybody may be inside.
pub(super) fn of_boundary(text: &str) -> Option<String> {
    let words = words(text);
    let inside = words.iter().any(|w| INSIDE.contains(&w.as_str()));
    words.into_iter().find(|w| OUTSIDE.contains(&w.as_str())).filter(|word| !inside || word == "internet")
}

/// What an arrow says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Words of `via`, each with what says so.
    pub(super) via: Vec<(&'static str, &'static str, String)>,
    /// What moves; none where the arrow only says how.
    pub(super) datum: Option<String>,
    /// It is fetched, and so moves against the arrow.
    pub(super) fetched: bool,
}

/// How things travel: words that say it, and what they say.
const TRAVEL: [(&str, &str, &str); 34] = [
    ("no encryption", "tls", "none"),
    ("not encrypted", "tls", "none"),
    ("without encryption", "tls", "none"),
    ("no tls", "tls", "none"),
    ("without tls", "tls", "none"),
    ("unencrypted", "tls", "none"),
    ("plaintext", "tls", "none"),
    ("plain text", "tls", "none"),
    ("cleartext", "tls", "none"),
    ("telnet", "tls", "none"),
    ("mtls", "mtls", "true"),
    ("mutual tls", "mtls", "true"),
    ("ssh", "ssh", "true"),
    ("sftp", "ssh", "true"),
    ("scp", "ssh", "true"),
    ("tls 1 3", "tls", "1.3"),
    ("tls1 3", "tls", "1.3"),
    ("tlsv1 3", "tls", "1.3"),
    ("tls 1 1", "tls", "1.1"),
    ("tls 1 0", "tls", "1.0"),
    ("https", "tls", "1.2"),
    ("tls", "tls", "1.2"),
    ("ssl", "tls", "1.2"),
    ("wss", "tls", "1.2"),
    ("amqps", "tls", "1.2"),
    ("grpcs", "tls", "1.2"),
    ("encrypted", "tls", "1.2"),
    ("no auth", "auth", "none"),
    ("unauthenticated", "auth", "none"),
    ("anonymous", "auth", "none"),
    ("iam", "auth", "iam"),
    ("oidc", "auth", "oidc"),
    ("sigv4", "auth", "sigv4"),
    ("basic auth", "auth", "password"),
];
/// Words that say how, or nothing.
const HOW: [&str; 66] = [
    "http",
    "https",
    "s",
    "tls",
    "ssl",
    "mtls",
    "mutual",
    "grpc",
    "grpcs",
    "rest",
    "restful",
    "tcp",
    "udp",
    "ssh",
    "sftp",
    "ws",
    "wss",
    "websocket",
    "websockets",
    "jdbc",
    "odbc",
    "sql",
    "graphql",
    "amqp",
    "amqps",
    "mqtt",
    "encrypted",
    "unencrypted",
    "plaintext",
    "cleartext",
    "iam",
    "auth",
    "oauth",
    "oauth2",
    "oidc",
    "over",
    "via",
    "using",
    "protocol",
    "port",
    "secure",
    "api",
    "call",
    "calls",
    "uses",
    "use",
    "connect",
    "connects",
    "connection",
    "read",
    "reads",
    "write",
    "writes",
    "send",
    "sends",
    "invoke",
    "invokes",
    "request",
    "requests",
    "response",
    "responses",
    "and",
    "or",
    "with",
    "tlsv1",
    "sigv4",
];
/// What is done, at the beginning of what an arrow says: `Create Todo` moves a to-do.
const VERBS: [&str; 66] = [
    "create",
    "creates",
    "insert",
    "inserts",
    "update",
    "updates",
    "delete",
    "deletes",
    "store",
    "stores",
    "save",
    "saves",
    "persist",
    "persists",
    "send",
    "sends",
    "forward",
    "forwards",
    "route",
    "routes",
    "publish",
    "publishes",
    "push",
    "pushes",
    "post",
    "put",
    "upload",
    "uploads",
    "deploy",
    "deploys",
    "issue",
    "issues",
    "generate",
    "generates",
    "return",
    "returns",
    "submit",
    "submits",
    "emit",
    "emits",
    "stream",
    "streams",
    "write",
    "writes",
    "sync",
    "syncs",
    "notify",
    "notifies",
    "trigger",
    "triggers",
    "mount",
    "mounts",
    "filter",
    "filters",
    "rotate",
    "rotates",
    "validate",
    "validates",
    "verify",
    "verifies",
    "check",
    "checks",
    "access",
    "accesses",
    "evaluate",
    "proxy",
];
/// What is fetched moves the other way.
const FETCHES: [&str; 24] = [
    "get",
    "gets",
    "read",
    "reads",
    "fetch",
    "fetches",
    "query",
    "queries",
    "pull",
    "pulls",
    "download",
    "downloads",
    "load",
    "loads",
    "list",
    "lists",
    "retrieve",
    "retrieves",
    "consume",
    "consumes",
    "scrape",
    "scrapes",
    "poll",
    "polls",
];
/// Answers that are no data.
const ANSWERS: [&str; 17] = [
    "yes",
    "no",
    "true",
    "false",
    "ok",
    "success",
    "error",
    "fail",
    "failure",
    "ack",
    "done",
    "confirm",
    "200",
    "else",
    "complete",
    "completed",
    "only",
];
/// Words that neither begin nor end what moves.
const SMALL: [&str; 14] =
    ["the", "a", "an", "to", "from", "of", "and", "or", "via", "over", "by", "for", "with", "using"];
/// Longest name of what moves, in bytes; the whole text is in its comment.
const DATUM_MAX: usize = 40;

/// What an arrow says that moves, and how.
pub(super) fn of_arrow(text: &str) -> Said {
    let text = without_number(text);
    // What explains, in brackets behind, names nothing.
    let head =
        text.split(['(', '[']).next().map(str::trim).filter(|t| t.chars().any(char::is_alphabetic)).unwrap_or(text);
    let all = words(head);
    // `ssh-keys` are no SSH, nor is a path what it is called after.
    let plain =
        text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '/')).filter(|w| !w.starts_with('/'));
    let plain: Vec<String> =
        plain.flat_map(|w| w.split('/')).filter(|w| !w.is_empty()).map(str::to_lowercase).collect();
    let joined = format!(" {} ", plain.join(" "));
    let mut said = Said::default();
    for (phrase, word, value) in TRAVEL {
        let found = joined.contains(&format!(" {phrase} ")) && !joined.contains(&format!(" {phrase} key"));
        if found && !said.via.iter().any(|(w, ..)| *w == word) {
            said.via.push((
                word,
                value,
                format!("the arrow says \"{phrase}\"").replace(" 1 ", " 1.").replace("1 3", "1.3"),
            ));
        }
    }
    // `HTTP` alone is HTTP without TLS; of `HTTP(S)`, `HTTP/2` and an HTTP API nothing is known.
    let http = plain.iter().position(|w| w == "http");
    let next = http.and_then(|at| plain.get(at + 1)).map(String::as_str);
    if http.is_some()
        && !matches!(next, Some("s" | "2" | "3" | "api" | "https"))
        && said.via.iter().all(|(w, ..)| *w == "auth")
    {
        said.via.push(("tls", "none", "the arrow says \"HTTP\"".to_owned()));
    }
    // Mutual TLS is TLS.
    if said.via.iter().any(|(w, ..)| *w == "mtls") {
        said.via.retain(|(w, ..)| *w != "tls");
    }
    let says_how = |word: &str| HOW.contains(&word) || word.bytes().all(|b| b.is_ascii_digit());
    let phrase = TRAVEL.iter().any(|(p, w, v)| *v == "none" && (*w == "tls" || *w == "auth") && joined.trim() == *p);
    let trimmed = text.trim();
    // `202 Accepted`
    let status = |w: &String| w.len() == 3 && w.parse::<u16>().is_ok_and(|n| (100..600).contains(&n));
    if all.first().is_some_and(status) {
        return said;
    }
    let is_verb = |w: &String| VERBS.contains(&w.as_str()) || FETCHES.contains(&w.as_str());
    if phrase
        || all.iter().all(|w| says_how(w) || is_verb(w) || ANSWERS.contains(&w.as_str()) || SMALL.contains(&w.as_str()))
    {
        // Text in letters that are none of these says something all the same.
        said.datum = (all.is_empty() && trimmed.chars().any(char::is_alphanumeric)).then(|| trimmed.to_owned());
        return said;
    }
    // What says how stands at the ends: `HTTPS: orders`, `orders (TLS)`.
    let ends = |w: &String| says_how(w) || SMALL.contains(&w.as_str());
    let first = all.iter().position(|w| !ends(w) && !is_verb(w)).unwrap_or_default();
    // An API key is no key of an API that is spoken.
    let key = |at: usize| all.get(at).is_some_and(|w| matches!(w.as_str(), "key" | "keys" | "token" | "tokens"));
    let first =
        if first > 0 && key(first) && all.get(first - 1).is_some_and(|w| w == "api") { first - 1 } else { first };
    said.fetched = all.iter().take(first).any(|w| FETCHES.contains(&w.as_str()));
    let last = all.iter().rposition(|w| !ends(w)).unwrap_or_default();
    let mut name = String::new();
    for word in all.get(first..=last).unwrap_or_default() {
        if !name.is_empty() && name.len() + word.len() >= DATUM_MAX {
            break;
        }
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(word);
    }
    said.datum = Some(name);
    said
}

/// `1. Log in`, `(2) Log in`, `3: Log in`.
fn without_number(text: &str) -> &str {
    let text = text.trim();
    let rest = text.trim_start_matches('(').trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == text.len() {
        return text;
    }
    rest.strip_prefix(['.', ')', ':']).map(str::trim_start).filter(|r| !r.is_empty()).unwrap_or(text)
}

/// How sensitive data are, by their name, with the word that says so.
pub(super) fn class(name: &str) -> Option<(&'static str, String)> {
    const SECRETS: [&str; 15] = [
        "password",
        "passwords",
        "secret",
        "secrets",
        "credential",
        "credentials",
        "creds",
        "token",
        "tokens",
        "jwt",
        "apikey",
        "passphrase",
        "passwd",
        "cookie",
        "cookies",
    ];
    const RESTRICTED: [&str; 13] = [
        "card",
        "cards",
        "pan",
        "pci",
        "cvv",
        "ssn",
        "passport",
        "health",
        "medical",
        "phi",
        "biometric",
        "biometrics",
        "child",
    ];
    const CONFIDENTIAL: [&str; 14] = [
        "personal",
        "pii",
        "customer",
        "customers",
        "profile",
        "profiles",
        "email",
        "emails",
        "payment",
        "payments",
        "salary",
        "payroll",
        "financial",
        "invoice",
    ];
    let words = words(name);
    let last = words.last()?;
    let before = words.len().checked_sub(2).and_then(|at| words.get(at));
    let key = matches!(last.as_str(), "key" | "keys")
        && before.is_some_and(|w| {
            ["api", "private", "secret", "encryption", "signing", "ssh", "access"].contains(&w.as_str())
        });
    if SECRETS.contains(&last.as_str()) || key {
        return Some(("secret", last.clone()));
    }
    let has = |set: &[&str]| words.iter().find(|w| set.contains(&w.as_str())).cloned();
    has(&RESTRICTED).map(|w| ("restricted", w)).or_else(|| has(&CONFIDENTIAL).map(|w| ("confidential", w)))
}
