//! Addresses in what people write into variables, arguments and files: `postgres://app@db:5432/shop`, `db.prod.svc:5432`, `db`.

/// An address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    /// Host name or IPv4 address, in lower case.
    pub(super) host: String,
    /// Port, where one is written.
    pub(super) port: Option<u16>,
    /// Scheme, where one is written, without `jdbc:`.
    pub(super) scheme: Option<String>,
    /// Whether it says that TLS is spoken.
    pub(super) tls: Option<bool>,
    /// Whether a password stands in it.
    pub(super) password: bool,
}

/// Longest text that is looked through; what is longer is no address, and a file of settings is shorter.
const TEXT_MAX: usize = 64 * 1024;
/// Most addresses of one text.
const ADDRESSES_MAX: usize = 256;

/// Every address in a text.
pub(super) fn addresses(text: &str) -> Vec<Address> {
    if text.len() > TEXT_MAX {
        return Vec::new();
    }
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '[' | ']' | '{' | '}' | ';' | '|');
    let mut all = Vec::new();
    for token in text.split(ends).filter(|t| !t.is_empty()) {
        if all.len() >= ADDRESSES_MAX {
            break;
        }
        let token = token.trim_start_matches("jdbc:");
        if let Some(at) = token.find("://") {
            // `--server=https://…`
            let start = token.get(..at).and_then(|s| s.rfind(|c: char| !is_scheme(c))).map_or(0, |i| i + 1);
            all.extend(token.get(start..).into_iter().flat_map(url));
        } else if let Some((before, rest)) = token.split_once("@tcp(") {
            // The driver of Go for MySQL.
            let host = rest.split(')').next().unwrap_or(rest);
            let password = before.contains(':');
            let tls = tls(rest);
            all.extend(host_port(host).map(|a| Address { scheme: Some("mysql".to_owned()), password, tls, ..a }));
        } else {
            // `Server=db;Password=…`: what looks like a host there may be none.
            let (key, token) = token.split_once('=').unwrap_or(("", token));
            if is_secret_name(key) {
                continue;
            }
            all.extend(token.split(',').filter_map(|t| host_port(t.split('/').next().unwrap_or(t))));
        }
    }
    all.truncate(ADDRESSES_MAX);
    all
}

fn is_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-')
}

fn url(token: &str) -> Vec<Address> {
    let Some((scheme, rest)) = token.split_once("://") else { return Vec::new() };
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // `redis://:a/b@cache`: what looks like a host may be a part of the password.
    if authority.starts_with(':') || !authority.contains('@') && authority.contains(':') && after.contains('@') {
        return Vec::new();
    }
    let (user, hosts) = authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
    let password = user.is_some_and(|u| u.split_once(':').is_some_and(|(_, p)| !p.is_empty()));
    let scheme = scheme.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).to_ascii_lowercase();
    let said = tls(after);
    let one = |host: &str| {
        let address = host_port(host)?;
        Some(Address { scheme: Some(scheme.clone()).filter(|s| !s.is_empty()), tls: said, password, ..address })
    };
    hosts.split(',').filter_map(one).collect()
}

/// What the parameters of a connection say: `sslmode=require`, `tls=true`.
fn tls(parameters: &str) -> Option<bool> {
    let mut said = None;
    for pair in parameters.split(['?', '&', ' ']) {
        let Some((key, value)) = pair.split_once('=') else { continue };
        let known =
            ["sslmode", "ssl-mode", "ssl", "tls", "usessl", "encrypt"].contains(&key.to_ascii_lowercase().as_str());
        said = match value.to_ascii_lowercase().as_str() {
            "disable" | "disabled" | "false" | "0" | "none" if known => Some(false),
            // `prefer` and `allow` take what they get.
            "require" | "required" | "verify-ca" | "verify-full" | "verify_ca" | "verify_identity" | "true" | "1"
                if known =>
            {
                Some(true)
            }
            _ => said,
        };
    }
    said
}

fn host_port(text: &str) -> Option<Address> {
    let text = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|p| *p > 0)?)),
        None => (text, None),
    };
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let number = host.bytes().all(|b| b.is_ascii_digit());
    let good = host.len() <= 253 && !number && host.split('.').all(label);
    good.then(|| Address { host: host.to_ascii_lowercase(), port, ..Address::default() })
}

/// Whether a name is one of a variable, flag or key that holds an address: its last word, or the one before, says so.
pub(super) fn is_address_name(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "HOST",
        "HOSTS",
        "HOSTNAME",
        "ADDR",
        "ADDRS",
        "ADDRESS",
        "ADDRESSES",
        "URL",
        "URLS",
        "URI",
        "SERVER",
        "SERVERS",
        "SERVICE",
        "ENDPOINT",
        "ENDPOINTS",
        "BROKER",
        "BROKERS",
        "DSN",
        "UPSTREAM",
        "PEERS",
        "CONNECTION",
        "DATABASE",
        "DB",
        "REDIS",
        "MASTER",
        "NODES",
        "BACKEND",
        "TARGET",
        "GATEWAY",
        "API",
        "QUEUE",
        "BOOTSTRAP",
    ];
    let words = words(name);
    words.iter().rev().take(2).any(|w| WORDS.contains(&w.as_str()) || w.ends_with("HOST") || w.ends_with("URL"))
}

/// Whether what is under a name is where the thing itself is to be found by others, or a page to read: nobody calls that.
pub(super) fn is_own_address_name(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "ORIGIN",
        "ORIGINS",
        "PUBLIC",
        "REDIRECT",
        "CALLBACK",
        "EXTERNAL",
        "ROOT",
        "DOCS",
        "DOC",
        "HELP",
        "SITE",
        "CORS",
        "ADVERTISED",
        "SELF",
        "COOKIE",
        "HOSTNAME",
        "BIND",
        "LISTEN",
        "DOMAIN",
        "ALLOWED",
    ];
    words(name).iter().any(|w| WORDS.contains(&w.as_str()))
}

/// Whether a name is one of a variable that holds a credential. A path to one is none.
pub(super) fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let last = words.last().map(String::as_str).unwrap_or_default();
    let before = words.iter().rev().nth(1).map(String::as_str).unwrap_or_default();
    matches!(last, "PASSWORD" | "PASSWD" | "PASSPHRASE" | "SECRET" | "TOKEN" | "PASS" | "PWD" | "APIKEY")
        || last == "KEY"
            && matches!(before, "API" | "SECRET" | "ACCESS" | "PRIVATE" | "ENCRYPTION" | "SIGNING" | "MASTER")
}

/// What the names of a host and of its password have in common: `DB` of `DB_HOST`, empty where it is one word.
pub(super) fn stem(name: &str) -> String {
    const ENDS: &[&str] = &[
        "HOST", "HOSTNAME", "ADDR", "ADDRESS", "URL", "URI", "SERVER", "SERVICE", "ENDPOINT", "PORT", "PASSWORD",
        "PASSWD", "PASS", "PWD", "USER", "USERNAME", "TOKEN", "SECRET", "KEY", "API", "ACCESS", "AUTH", "ROOT", "NAME",
        "DATABASE", "DB",
    ];
    let mut words = words(name);
    while words.len() > 1 && words.last().is_some_and(|w| ENDS.contains(&w.as_str())) {
        words.pop();
    }
    let stem = words.join("_");
    // `PGHOST`, `PGPASSWORD`.
    if stem.starts_with("PG") { "PG".to_owned() } else { stem }
}

/// The words of a name, in capitals: `dbHost`, `DB_HOST` and `--db-host` are `DB` and `HOST`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        let cut = !c.is_ascii_alphanumeric();
        if (cut || c.is_ascii_uppercase() && small) && words.last().is_some_and(|w| !w.is_empty()) {
            words.push(String::new());
        }
        small = c.is_ascii_lowercase() || c.is_ascii_digit();
        if let (false, Some(word)) = (cut, words.last_mut()) {
            word.push(c.to_ascii_uppercase());
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

#[cfg(test)]
mod tests;
