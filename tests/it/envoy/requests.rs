//! Requests that a policy set is asked: values its policies speak of, said in every way that a caller might try, and others.
use std::net::{IpAddr, Ipv4Addr};

use model::istio::Condition;
use policy::{Protocol, gate::Arrival};

use super::{certificates::PEERS, exchange::Line, policies::Set, random::Random, tokens::Tokens};

/// One connection and what is asked over it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) line: Line,
    pub(crate) requests: Vec<Arrival>,
}

/// Connections of every kind, with about `count` requests on them.
pub(crate) fn sessions(random: &mut Random, set: &Set, tokens: &Tokens, count: usize) -> Vec<Session> {
    let vocabulary = Vocabulary::of(set);
    let mut out = Vec::new();
    let mut left = count;
    while left > 0 {
        let line = line(random);
        let tcp = random.percent(25);
        let many = if tcp { 1 } else { left.min(12) };
        let requests =
            (0..many).map(|_| if tcp { tcp_arrival(&line) } else { arrival(random, &line, &vocabulary, tokens) });
        out.push(Session { requests: requests.collect(), line });
        left -= many;
    }
    out
}

fn line(random: &mut Random) -> Line {
    let peer = if random.percent(12) { None } else { Some(*random.pick(PEERS)) };
    let peer = if random.percent(35) { Some(PEERS[random.below(4)]) } else { peer };
    let sni: &[Option<&str>] =
        &[None, None, Some("svc.example"), Some("secret.example"), Some("a.example"), Some("svc")];
    let sni = random.pick(sni).map(str::to_owned).filter(|_| peer.is_some());
    let source: Ipv4Addr =
        random.pick(&["127.0.0.1", "127.0.0.5", "127.0.1.9", "127.0.2.3", "127.7.7.7"]).parse().unwrap();
    let callers = &["203.0.113.7", "203.0.113.200", "198.51.100.5", "198.51.100.200", "192.0.2.1", "10.9.8.7"];
    let caller: IpAddr = random.pick(callers).parse().unwrap();
    Line { peer: peer.map(str::to_owned), sni, source, caller, port: *random.pick(&[80, 8080, 5432, 9999]) }
}

/// The facts of a connection.
fn base(line: &Line) -> Arrival {
    Arrival {
        peer: line.peer.clone(),
        host: "svc".to_owned(),
        sni: line.sni.clone(),
        source_ip: Some(line.source.into()),
        remote_ip: Some(line.caller),
        port: Some(line.port),
        ..Arrival::default()
    }
}

fn tcp_arrival(line: &Line) -> Arrival {
    Arrival { protocol: Protocol::Tcp, ..base(line) }
}

/// What the policies of a set speak of.
struct Vocabulary {
    paths: Vec<String>,
    hosts: Vec<String>,
    methods: Vec<String>,
    headers: Vec<(String, String)>,
}

impl Vocabulary {
    fn of(set: &Set) -> Self {
        let rules = || set.policies.iter().flat_map(|policy| &policy.spec.rules);
        let operations = || rules().flat_map(|rule| &rule.to).map(|to| &to.operation);
        let both = |a: &[String], b: &[String]| a.iter().chain(b).cloned().collect::<Vec<_>>();
        let conditions: Vec<&Condition> = rules().flat_map(|rule| &rule.when).collect();
        let mut paths: Vec<String> = operations().flat_map(|one| both(&one.paths, &one.not_paths)).collect();
        let mut hosts: Vec<String> = operations().flat_map(|one| both(&one.hosts, &one.not_hosts)).collect();
        let mut methods: Vec<String> = operations().flat_map(|one| both(&one.methods, &one.not_methods)).collect();
        let mut headers = Vec::new();
        for condition in conditions {
            let Some(name) = condition.key.strip_prefix("request.headers[").and_then(|key| key.strip_suffix(']'))
            else {
                continue;
            };
            let values = both(&condition.values, &condition.not_values);
            match name {
                ":authority" | "host" => hosts.extend(values),
                ":method" => methods.extend(values),
                _ => headers.extend(values.into_iter().map(|value| (name.to_owned(), value))),
            }
        }
        paths.extend(["/admin", "/public/x", "/api/v1/items"].map(str::to_owned));
        hosts.extend(["svc", "secret.example"].map(str::to_owned));
        methods.extend(["GET", "POST"].map(str::to_owned));
        headers.extend([("x-role".to_owned(), "admin".to_owned()), ("x-team".to_owned(), "user".to_owned())]);
        Self { paths, hosts, methods, headers }
    }
}

/// A value that a policy's text could mean.
fn meant(random: &mut Random, text: &str, fillers: &[&str]) -> String {
    let mut out = text.to_owned();
    for wildcard in ["{**}", "{*}"] {
        while out.contains(wildcard) {
            let filler: &str = random.pick::<&str>(fillers);
            out = out.replacen(wildcard, filler, 1);
        }
    }
    if out == "*" {
        return (*random.pick(fillers)).to_owned();
    }
    if let Some(rest) = out.strip_prefix('*') {
        return format!("{}{rest}", random.pick(fillers));
    }
    if let Some(rest) = out.strip_suffix('*') {
        return format!("{rest}{}", random.pick(fillers));
    }
    out
}

fn arrival(random: &mut Random, line: &Line, vocabulary: &Vocabulary, tokens: &Tokens) -> Arrival {
    let mut arrival = base(line);
    arrival.method = method(random, vocabulary);
    arrival.target = target(random, vocabulary);
    arrival.host = host(random, vocabulary);
    if arrival.method == "OPTIONS" && random.percent(20) {
        arrival.target = "*".to_owned();
    }
    if random.percent(3) {
        let path = arrival.target.clone();
        arrival.target = format!("{}://{}{path}", random.pick(&["http", "https", "HTTP"]), host(random, vocabulary));
    }
    headers(random, vocabulary, &mut arrival);
    tokens.add(random, &mut arrival);
    arrival
}

fn method(random: &mut Random, vocabulary: &Vocabulary) -> String {
    let text = random.pick(&vocabulary.methods).clone();
    let meant = meant(random, &text, &["GET", "UT", "OST", "PU"]);
    match random.below(40) {
        0 => meant.to_ascii_lowercase(),
        1 => (*random.pick(&["BREW", "PURGE", "TRACE", "Get", "X-Y", "LOCK"])).to_owned(),
        2..=9 => (*random.pick(&["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])).to_owned(),
        _ if meant.is_empty() => "GET".to_owned(),
        _ => meant,
    }
}

/// A path, and what callers do to it to be taken for another.
fn target(random: &mut Random, vocabulary: &Vocabulary) -> String {
    let text = random.pick(&vocabulary.paths).clone();
    let mut path = meant(random, &text, &["v1", "x", "x/y", "", "info", "a.b", "*", "[z]", "%5Bz%5D", "a;b", "public"]);
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    for _ in 0..*random.pick(&[0, 0, 0, 1, 1, 2]) {
        path = disguise(random, &path);
    }
    match random.below(20) {
        0 | 1 => path + "?x=1",
        2 => path + "?x=/../admin#y",
        3 => path + "#frag",
        4 => path + "#/../../x",
        5 => path + "?",
        _ => path,
    }
}

fn disguise(random: &mut Random, path: &str) -> String {
    let slash = |random: &mut Random, with: &str| {
        let places: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        if places.is_empty() {
            return format!("{with}{path}");
        }
        let at = *random.pick(&places);
        format!("{}{with}{}", &path[..at], &path[at + 1..])
    };
    let letters: Vec<usize> = path
        .char_indices()
        .filter(|(_, c)| c.is_ascii_alphanumeric() || "-._~@*".contains(*c))
        .map(|(at, _)| at)
        .collect();
    match random.below(22) {
        0 | 1 => slash(random, "//"),
        2 => slash(random, "/./"),
        3 => slash(random, "/x/../"),
        4 => slash(random, "/x/%2e%2E/"),
        5 => slash(random, "%2f"),
        6 => slash(random, "/%2F"),
        7 => slash(random, "\\"),
        8 => slash(random, "%5c"),
        9 => slash(random, ";a=b/"),
        10 => slash(random, "/..;/"),
        11 => slash(random, "/x/..;/"),
        12 => slash(random, "/x/%2e%2e;/"),
        13 => format!("{path};x=1"),
        14 => format!("{path}/"),
        15 => format!("{path}/.."),
        16 => path.to_ascii_uppercase(),
        17 | 18 if !letters.is_empty() => {
            let at = *random.pick(&letters);
            let byte = path.as_bytes()[at];
            let code = if random.percent(50) { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
            format!("{}{code}{}", &path[..at], &path[at + 1..])
        }
        19 => {
            let odd = [
                "%00", "%01", "%zz", "%", "%c0%af", "%7f", "%c3%a9", "%20", "%3b", "%23", "%3F", "%2b", "%25", "%252f",
            ];
            format!("{path}{}", random.pick(&odd))
        }
        20 => {
            let odd = ["|", "^", "{x}", "\"", "<>", "`", "+", ":", "[", "(", "é", "'", "!", "~", "%41"];
            format!("{path}{}", random.pick(&odd))
        }
        _ => path.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(path).to_owned(),
    }
}

fn host(random: &mut Random, vocabulary: &Vocabulary) -> String {
    let text = random.pick(&vocabulary.hosts).clone();
    let name = meant(random, text.trim_end_matches(":*"), &["a", "svc", "x.y", "secret"]);
    match random.below(24) {
        0 | 1 => format!("{name}:8080"),
        2 => format!("{name}."),
        3 => format!("{name}.:80"),
        4 | 5 => name.to_ascii_uppercase(),
        6 => String::new(),
        7 => "[2001:db8::1]:80".to_owned(),
        8 => format!("user@{name}"),
        9 => format!("{name}:"),
        10 => format!("{name}:0x50"),
        _ => name,
    }
}

fn headers(random: &mut Random, vocabulary: &Vocabulary, arrival: &mut Arrival) {
    for _ in 0..*random.pick(&[0, 0, 1, 1, 2]) {
        let (name, value) = random.pick(&vocabulary.headers).clone();
        let value = meant(random, &value, &["admin", "user", "x", ""]);
        let other = (*random.pick(&["user", "guest", "admin", "x"])).to_owned();
        let name = match random.below(6) {
            0 => name.to_ascii_uppercase(),
            _ => name,
        };
        match random.below(12) {
            0 => {
                arrival.headers.push((name.clone(), other));
                arrival.headers.push((name, value));
            }
            1 => {
                arrival.headers.push((name.clone(), value));
                arrival.headers.push((name, other));
            }
            2 => arrival.headers.push((name, format!("{value},{other}"))),
            3 => arrival.headers.push((name, format!("{other}, {value}"))),
            4 => arrival.headers.push((name, format!("  {value}\t "))),
            5 => arrival.headers.push((name, String::new())),
            6 => arrival.headers.push((name, format!("{value}é"))),
            7 => arrival.headers.push((name, value.to_ascii_uppercase())),
            _ => arrival.headers.push((name, value)),
        }
    }
    match random.below(60) {
        1 => arrival.headers.push(("Host".to_owned(), "other".to_owned())),
        2 => arrival.headers.push(("x_role".to_owned(), "admin".to_owned())),
        3 => arrival.headers.push(("x-role".to_owned(), "ad\0min".to_owned())),
        4 => arrival.headers.push(("x role".to_owned(), "admin".to_owned())),
        5 => arrival.headers.push((":authority".to_owned(), "secret.example".to_owned())),
        6 | 7 => {
            arrival.headers.push(("Origin".to_owned(), "https://shop.example".to_owned()));
            arrival.headers.push(("Access-Control-Request-Method".to_owned(), "GET".to_owned()));
        }
        8..=13 => forwarded_for(random, arrival),
        _ => {}
    }
}

/// Behind a sidecar's back the last address of `X-Forwarded-For` is believed, if it is one.
fn forwarded_for(random: &mut Random, arrival: &mut Arrival) {
    let values = [
        "203.0.113.7",
        "198.51.100.5",
        "198.51.100.5, 203.0.113.9",
        "203.0.113.9,192.0.2.44",
        "2001:db8::7",
        "203.0.113.7, nonsense",
        "",
        "203.0.113.7:1234",
    ];
    let value = *random.pick(&values);
    arrival.headers.push(("X-Forwarded-For".to_owned(), value.to_owned()));
    let last = value.rsplit(',').next().unwrap_or_default().trim();
    if let Ok(address) = last.parse() {
        arrival.remote_ip = Some(address);
    }
}

/// The request as it goes over the wire.
pub(crate) fn bytes(arrival: &Arrival) -> Vec<u8> {
    let mut out = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", arrival.method, arrival.target, arrival.host);
    for (name, value) in &arrival.headers {
        out += &format!("{name}: {value}\r\n");
    }
    if !matches!(arrival.method.as_str(), "GET" | "HEAD" | "CONNECT") {
        out += "Content-Length: 0\r\n";
    }
    (out + "\r\n").into_bytes()
}
