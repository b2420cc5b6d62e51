//! What the environment of a container gives away: whom it calls, and which secrets it has. The value of a secret is only ever
//! compared: it goes into no name, comment or error.

/// A value with its variables: `${NAME:-default}` is its default, and one without stays as it is written.
pub(super) fn interpolate(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let behind = from.get(1..).unwrap_or_default();
        if let Some(more) = behind.strip_prefix('$') {
            out.push('$');
            rest = more;
        } else if let Some((body, more)) = behind.strip_prefix('{').and_then(closing) {
            let name = body.split([':', '-', '?', '+']).next().unwrap_or_default();
            let default = body.get(name.len()..).unwrap_or_default();
            match default.strip_prefix(":-").or_else(|| default.strip_prefix('-')) {
                // A default may hold variables itself; deeper ones are left as they are.
                Some(default) => out.push_str(default),
                None => {
                    out.push_str("${");
                    out.push_str(name);
                    out.push('}');
                }
            }
            rest = more;
        } else {
            out.push('$');
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

/// What stands before the closing brace, braces inside minded.
fn closing(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices().take(4_096) {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some((text.get(..at)?, text.get(at + 1..)?)),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether a name is one that a variable can have. Anything else may be a value in the wrong place.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Whether a variable of this name and value is a secret.
pub(super) fn is_secret(name: &str, value: Option<&str>) -> bool {
    const SECRET: [&str; 12] = [
        "PASSWORD",
        "PASSWD",
        "PASS",
        "PWD",
        "TOKEN",
        "SECRET",
        "SECRETS",
        "CREDENTIAL",
        "CREDENTIALS",
        "APIKEY",
        "PASSPHRASE",
        "REQUIREPASS",
    ];
    // What is said about a secret, and not the secret.
    const ABOUT: [&str; 34] = [
        "FILE",
        "TTL",
        "LENGTH",
        "EXPIRY",
        "EXPIRATION",
        "EXPIRES",
        "EXPIRE",
        "URL",
        "URI",
        "HOST",
        "ISSUER",
        "ENABLED",
        "PATH",
        "NAME",
        "TYPE",
        "ALGORITHM",
        "ID",
        "USER",
        "USERNAME",
        "DIR",
        "METHOD",
        "HEADER",
        "LIFETIME",
        "AGE",
        "COUNT",
        "POLICY",
        "MINUTES",
        "SECONDS",
        "DAYS",
        "HOURS",
        "PORT",
        "ENDPOINT",
        "STRENGTH",
        "REGEX",
    ];
    if value.is_some_and(|v| {
        v.trim().is_empty()
            || matches!(v.trim().to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off")
    }) {
        return false;
    }
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(['_', '.', '-']).filter(|w| !w.is_empty()).collect();
    let Some(last) = words.last() else { return false };
    if ABOUT.contains(last) || words.contains(&"PUBLIC") {
        return false;
    }
    let before = words.len().checked_sub(2).and_then(|at| words.get(at)).copied().unwrap_or_default();
    // `REDISPASSWORD`, `PGPASSWORD`
    let ends = ["PASSWORD", "PASSWD", "SECRET", "TOKEN"].iter().any(|s| last.ends_with(s));
    let key =
        *last == "KEY" && !matches!(before, "" | "PRIMARY" | "FOREIGN" | "PARTITION" | "SORT" | "ROUTING" | "CACHE");
    words.iter().any(|w| SECRET.contains(w)) && *last != "PWD" || key || ends || *last == "PWD" && words.len() > 1
}

/// An address in a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// The password, to be compared and never shown.
    pub(super) password: Option<String>,
}

/// The addresses of a value: URLs, JDBC URLs, `host:port`, lists of them. A value that has a password where it cannot be told from
/// the rest is no address.
pub(super) fn addresses(value: &str) -> Vec<Address> {
    let value = value.trim().trim_matches(['"', '\'']);
    let value = value.strip_prefix("jdbc:").unwrap_or(value);
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.split([',', ';', ' ']).filter_map(|part| host_port(part.trim(), None)).collect();
    };
    let scheme = scheme.rsplit([':', '=']).next().unwrap_or_default().to_ascii_lowercase();
    if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) {
        return Vec::new();
    }
    let end = rest.find(['/', '?', '#', ' ', ';']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    // `postgres://user:a/b@db`: what looks like the end of the address may be a part of the password.
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (Some(user), hosts),
        None if authority.contains(':') && behind.contains('@') => return Vec::new(),
        None => (None, authority),
    };
    let password = user.and_then(|u| u.split_once(':')).map(|(_, p)| p.to_owned()).filter(|p| !p.is_empty());
    let mut found: Vec<Address> = Vec::new();
    // `a:1,b:2`, or each with its own scheme.
    for part in hosts.split(',') {
        if let Some(address) = host_port(part, Some(&scheme)) {
            found.push(Address { password: password.clone(), ..address });
        }
    }
    if let Some((_, more)) = behind.split_once(',').filter(|(_, more)| more.contains("://")) {
        found.extend(addresses(more).into_iter().take(16));
    }
    found
}

fn host_port(part: &str, scheme: Option<&str>) -> Option<Address> {
    let part = part.trim();
    if part.starts_with('[') {
        return None;
    }
    let (host, port) = match part.rsplit_once(':') {
        // A variable without a default is a port that nobody knows.
        Some((host, port)) if port.starts_with("${") && port.ends_with('}') => (host, None),
        Some((host, port)) => (host, Some(port.trim_end_matches('/').parse::<u16>().ok()?)),
        None => (part, None),
    };
    let good = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && host.bytes().any(|b| b.is_ascii_alphabetic());
    let own = matches!(host, "localhost" | "host.docker.internal" | "gateway.docker.internal");
    (good && !own).then(|| Address { scheme: scheme.map(str::to_owned), host: host.to_owned(), port, password: None })
}

/// Whether an address under this name is one that others use to come, and not one that is called.
pub(super) fn is_own_address(name: &str) -> bool {
    const OWN: [&str; 22] = [
        "ORIGIN",
        "ORIGINS",
        "CORS",
        "ALLOWED",
        "PUBLIC",
        "BASE",
        "SITE",
        "CALLBACK",
        "REDIRECT",
        "DOMAIN",
        "DOMAINS",
        "ROOT",
        "EXTERNAL",
        "SCHEMA",
        "NAMESPACE",
        "ADVERTISED",
        "LISTENERS",
        "VIRTUAL",
        "LETSENCRYPT",
        "HOMEPAGE",
        "FRONTEND",
        "SERVERNAME",
    ];
    let name = name.to_ascii_uppercase();
    name.split(['_', '.', '-']).any(|w| OWN.contains(&w))
}
