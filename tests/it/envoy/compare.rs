//! Asks Envoy and the engine the same, and judges the answers.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use identity::token::TokenCache;
use model::{Documents, SourceFile, istio::Action, load_documents};
use policy::{
    Protocol, Semantics,
    gate::{Arrival, Gate, Verdict},
};
use serde_json::json;

use super::{
    certificates::Certificates,
    differences::{explain, refusal},
    exchange::{Answer, Connection},
    policies::{Set, set},
    random::Random,
    requests::{Session, bytes, sessions},
    server::{Envoy, Site, address},
    tokens::{Keys, Tokens},
};

/// Policy sets that one Envoy serves.
const SETS_AT_ONCE: usize = 150;
/// Requests asked of each set.
const REQUESTS_A_SET: usize = 150;
/// Failures that are told before the test gives up.
const FAILURES_MAX: usize = 400;

/// A policy set, ready to be asked.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) set: Set,
    pub(crate) sessions: Vec<Session>,
    /// What Envoy and Istio's reading must answer, where a known difference is held to.
    pub(crate) answers: Option<(u16, u16)>,
}

/// What became of all decisions.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Asked of Envoy.
    pub(crate) decisions: usize,
    /// Policy sets.
    sets: usize,
    /// Of these, refused by Ward's own reading, so that only Istio's was compared.
    refused: usize,
    /// By Envoy's status.
    statuses: BTreeMap<u16, usize>,
    /// Differences of Istio's reading, by the reason that is known for them.
    known: BTreeMap<&'static str, usize>,
    /// Decided by Ward's own reading.
    own: usize,
    /// Decided alike.
    same: usize,
    /// Ward refuses what Envoy lets pass, by row.
    stricter: BTreeMap<&'static str, usize>,
    /// Ward lets pass what Envoy refuses, by row of docs/policy.md.
    looser: BTreeMap<&'static str, usize>,
    /// What must not be.
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.decisions += other.decisions;
        self.sets += other.sets;
        self.refused += other.refused;
        self.own += other.own;
        self.same += other.same;
        self.failures.extend(other.failures);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (into, from) in
            [(&mut self.known, other.known), (&mut self.stricter, other.stricter), (&mut self.looser, other.looser)]
        {
            for (row, count) in from {
                *into.entry(row).or_default() += count;
            }
        }
    }

    /// The table of docs/policy.md.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        let statuses: Vec<String> = self.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        writeln!(out, "policy sets  {:>8}   ({} refused by Ward's own reading)", self.sets, self.refused).unwrap();
        writeln!(out, "decisions    {:>8}   (Envoy's answers: {})", self.decisions, statuses.join(", ")).unwrap();
        let known: usize = self.known.values().sum();
        writeln!(out, "compat istio {:>8}   the same; {known} differ for a known reason", self.decisions - known)
            .unwrap();
        for (row, count) in &self.known {
            writeln!(out, "             {count:>8}     {row}").unwrap();
        }
        writeln!(out, "ward         {:>8}   decided, {} the same", self.own, self.same).unwrap();
        for (word, rows) in [("stricter", &self.stricter), ("looser", &self.looser)] {
            writeln!(out, "{word:<12} {:>8}   documented", rows.values().sum::<usize>()).unwrap();
            for (row, count) in rows {
                writeln!(out, "             {count:>8}     {row}").unwrap();
            }
        }
        writeln!(out, "undocumented {:>8}", self.failures.len()).unwrap();
        out
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => otherwise,
    }
}

/// Generated policy sets, as many as it takes for `WARD_DECISIONS`.
pub(crate) fn generated() {
    let seed = setting("WARD_SEED", 20_261_122);
    let wanted = usize::try_from(setting("WARD_DECISIONS", 5_000)).unwrap();
    println!("WARD_SEED={seed} WARD_DECISIONS={wanted}");
    let mut random = Random::new(seed);
    let tokens = Tokens::make();
    let mut all = Tally::default();
    while all.decisions < wanted && all.failures.len() < FAILURES_MAX {
        let count = SETS_AT_ONCE.min((wanted - all.decisions).div_ceil(REQUESTS_A_SET)).max(1);
        let subjects = (0..count).map(|_| {
            let mut random = random.fork();
            let name = format!("seed {seed}, set {}", random.next());
            let odd = random.percent(25);
            let set = set(&mut random, &tokens, odd);
            let sessions = sessions(&mut random, &set, &tokens, REQUESTS_A_SET);
            Subject { name, set, sessions, answers: None }
        });
        all.add(compare(subjects.collect()));
    }
    println!("{}", all.table());
    assert!(all.failures.is_empty(), "WARD_SEED={seed}\n{}", all.failures.join("\n\n"));
}

/// The sets that somebody wrote down, and some requests for each.
pub(crate) fn written(subjects: Vec<Subject>) {
    let tally = compare(subjects);
    println!("{}", tally.table());
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n\n"));
}

/// One reading of a set, with the keys of its token rules.
struct Reading {
    gate: Gate,
    keys: Keys,
}

impl Reading {
    fn new(gate: Gate) -> Self {
        let keys = Keys::of(gate.tokens());
        Self { gate, keys }
    }

    fn answer(&self, arrival: &Arrival) -> Verdict {
        self.gate.answer_proving(arrival, &mut self.keys.proof(&mut TokenCache::default()))
    }
}

/// Both readings of one set.
struct Readings {
    istio: Reading,
    /// The CUSTOM policies alone, which Envoy asks before it looks at tokens.
    custom: Gate,
    ward: Option<Reading>,
}

fn documents(set: &Set) -> Documents {
    let documents = load_documents(&[SourceFile { name: "set.yaml".to_owned(), text: set.text() }]);
    assert!(documents.diagnostics.is_empty(), "{}\n{:?}", set.text(), documents.diagnostics);
    documents
}

/// Asks all subjects of one Envoy.
pub(crate) fn compare(subjects: Vec<Subject>) -> Tally {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(directory.path());
    let mut tally = Tally::default();
    let mut sites = Vec::new();
    let mut work = Vec::new();
    for subject in subjects {
        let documents = documents(&subject.set);
        let istio = match Gate::of_documents(Semantics::Istio, &subject.set.workload, &documents) {
            Ok(gate) => gate,
            Err(errors) => {
                tally.failures.push(format!(
                    "{}: Istio takes this set: {errors:?}\n{}",
                    subject.name,
                    subject.set.text()
                ));
                continue;
            }
        };
        let mut custom = documents.clone();
        custom.policies.retain(|policy| policy.spec.action == Action::Custom);
        custom.tokens.clear();
        let custom = Gate::of_documents(Semantics::Istio, &subject.set.workload, &custom).unwrap();
        let filters = control::envoy::filters(&subject.set.workload, &documents, &|_| None)
            .unwrap_or_else(|errors| panic!("{errors:?}\n{}", subject.set.text()));
        let ward = Gate::of_documents(Semantics::Ward, &subject.set.workload, &documents).ok();
        tally.sets += 1;
        tally.refused += usize::from(ward.is_none());
        // Ports that ask for something else than the others are sites of their own.
        let specs = documents.peers.iter().map(|peer| &peer.spec);
        let apart: BTreeSet<u16> = specs.flat_map(|spec| spec.port_level_mtls.keys().copied()).collect();
        let mut places = Places { all: sites.len(), apart: BTreeMap::new() };
        for port in [None].into_iter().chain(apart.into_iter().map(Some)) {
            if let Some(port) = port {
                places.apart.insert(port, sites.len());
            }
            let mode = control::envoy::mutual_tls(&subject.set.workload, &documents, port.unwrap_or(0));
            sites.push(Site { filters: filters.clone(), mode });
        }
        work.push((subject, places, Readings { istio: Reading::new(istio), custom, ward: ward.map(Reading::new) }));
    }
    let envoy = Envoy::start(directory.path(), &certificates.common, &sites);
    let next = AtomicUsize::new(0);
    let all = Mutex::new(tally);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut mine = Tally::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((subject, places, readings)) = work.get(number) else { break };
                    ask(places, subject, readings, envoy.listener, &certificates, &mut mine);
                    if mine.failures.len() >= FAILURES_MAX {
                        break;
                    }
                }
                all.lock().unwrap().add(mine);
            });
        }
    });
    all.into_inner().unwrap()
}

/// Which of Envoy's sites are a set's.
struct Places {
    all: usize,
    apart: BTreeMap<u16, usize>,
}

fn ask(
    places: &Places,
    subject: &Subject,
    readings: &Readings,
    envoy: SocketAddr,
    certificates: &Certificates,
    tally: &mut Tally,
) {
    for session in &subject.sessions {
        let number = places.apart.get(&session.line.port).copied().unwrap_or(places.all);
        let open = |tcp: bool| {
            Connection::open(envoy, address(number, tcp), &session.line, certificates)
                .unwrap_or_else(|error| panic!("{}: no connection: {error}", subject.name))
        };
        let mut connection = None;
        for arrival in &session.requests {
            let tcp = arrival.protocol == Protocol::Tcp;
            let arrival = &Arrival { destination_ip: Some(address(number, tcp).into()), ..arrival.clone() };
            let status = if tcp {
                let echoes = open(true).echoes().unwrap_or_else(|error| panic!("{}: {error}", subject.name));
                if echoes { 200 } else { 403 }
            } else {
                let used = connection.get_or_insert_with(|| open(false));
                let answer: Answer = used
                    .ask(&bytes(arrival), arrival.method == "HEAD")
                    .unwrap_or_else(|error| panic!("{}: {error}: {}", subject.name, describe(arrival)));
                if !answer.reusable {
                    connection = None;
                }
                match answer.status {
                    // A handshake that is refused is refused for want of an identity.
                    None => 403,
                    // What it says to a target that is no path, before any filter.
                    Some(404) => 400,
                    Some(status) => status,
                }
            };
            tally.decisions += 1;
            *tally.statuses.entry(status).or_default() += 1;
            judge(subject, readings, arrival, status, tally);
        }
    }
}

/// Holds both readings against Envoy's answer.
fn judge(subject: &Subject, readings: &Readings, arrival: &Arrival, envoy: u16, tally: &mut Tally) {
    let istio = readings.istio.answer(arrival);
    if let Some((by_envoy, by_istio)) = subject.answers {
        if (envoy, istio.status) != (by_envoy, by_istio) {
            let what = format!("known as {by_envoy} and {by_istio}, and is {envoy} and {}", istio.status);
            tally.failures.push(failure(subject, arrival, &what));
        }
        return;
    }
    if istio.status == envoy {
    } else if let Some(reason) = known(readings, arrival, &istio, envoy) {
        *tally.known.entry(reason).or_default() += 1;
    } else {
        let what = format!("compat istio says {} ({}), Envoy {envoy}", istio.status, istio.reason);
        tally.failures.push(failure(subject, arrival, &what));
    }
    let Some(ward) = &readings.ward else { return };
    let ward: Verdict = ward.answer(arrival);
    tally.own += 1;
    let allows = ward.status == 200;
    if allows == (envoy == 200) {
        tally.same += 1;
        return;
    }
    let by_istio = |set: &Set, arrival: &Arrival| {
        let gate = Gate::of_documents(Semantics::Istio, &set.workload, &documents(set));
        gate.is_ok_and(|gate| (Reading::new(gate).answer(arrival).status == 200) == allows)
    };
    let row = if allows { None } else { refusal(ward.reason) };
    let row = row
        .or_else(|| known_row(readings, arrival, envoy))
        .or_else(|| explain(&subject.set, arrival, allows, by_istio));
    match row {
        Some(row) if allows => *tally.looser.entry(row).or_default() += 1,
        Some(row) => *tally.stricter.entry(row).or_default() += 1,
        None => {
            let what = format!("Ward says {} ({}), Envoy {envoy}: in no row", ward.status, ward.reason);
            tally.failures.push(failure(subject, arrival, &what));
        }
    }
}

/// The row of what Ward answers by policy and Envoy does not, or not by all of the request.
fn known_row(readings: &Readings, arrival: &Arrival, envoy: u16) -> Option<&'static str> {
    match envoy {
        400 if arrival.target.starts_with('*') => Some("`OPTIONS *`"),
        403 if readings.custom.answer(arrival).status == 403 => Some("CUSTOM about a header that tokens fill"),
        _ => None,
    }
}

/// How often a header comes.
fn lines(arrival: &Arrival, wanted: &str) -> usize {
    arrival.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).count()
}

/// How many places of the request hold what could be a token.
fn tokens(arrival: &Arrival) -> usize {
    let session = arrival.headers.iter().filter(|(_, value)| value.contains("session=")).count();
    let query = ["access_token=", "&token=", "?token="].iter().map(|name| arrival.target.matches(name).count());
    lines(arrival, "authorization") + lines(arrival, "x-jwt") + session + query.sum::<usize>()
}

/// `http://user@host/`.
fn user_information(target: &str) -> bool {
    let authority = target.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    authority.is_some_and(|authority| authority.contains('@'))
}

/// Where Istio's reading differs from Envoy, and why.
fn known(readings: &Readings, arrival: &Arrival, istio: &Verdict, envoy: u16) -> Option<&'static str> {
    let rules = readings.istio.gate.tokens().rules().count();
    let custom = || envoy == 403 && readings.custom.answer(arrival).status == 403;
    let no_path = arrival.peer.as_deref().is_some_and(|peer| peer.matches('/').count() == 2);
    let fault = istio.reason.starts_with("jwt-");
    match istio.reason {
        "two-hosts" => Some("two `Host` lines: 400 (RFC 9112 section 3.2); Envoy joins them and decides on that"),
        "path-not-absolute" if arrival.method == "CONNECT" => {
            Some("CONNECT: 400; Envoy, which Istio does not let take tunnels here: 403")
        }
        "bad-host" if user_information(&arrival.target) => {
            Some("user information in an address: 400 (RFC 9110 section 4.2.4); Envoy takes it for the host's")
        }
        "jwt-critical" => Some("`crit` in a token: 401 (RFC 7515 section 4.1.11); Envoy overlooks it"),
        _ if fault && custom() => Some("a wrong token and CUSTOM: 401; Envoy asks CUSTOM first: 403"),
        _ if istio.status == 200 && custom() => {
            Some("CUSTOM about a header that tokens fill: Envoy looks before they do")
        }
        "jwt-algorithm" if envoy == 403 => {
            Some("HS256 for another audience: 401; Envoy looks at the audience first: 403")
        }
        _ if fault && matches!((istio.status, envoy), (401, 403) | (403, 401)) && rules > 1 => {
            Some("a token that several rules refuse: another fault is said, 401 or 403")
        }
        _ if rules > 0 && tokens(arrival) > 1 && istio.status == 200 => {
            Some("several tokens, of which compat believes a good one and Envoy no longer any")
        }
        _ if rules > 0 && tokens(arrival) > 1 => Some("several tokens, good ones and bad ones: which fault is said"),
        _ if lines(arrival, "authorization") > 1 => {
            Some("two `Authorization` lines that policies read: Envoy joins them")
        }
        _ if no_path => Some("an identity without a path, which no certificate may have: is of its trust domain"),
        _ => None,
    }
}

fn failure(subject: &Subject, arrival: &Arrival, what: &str) -> String {
    format!("{what}\n{}\n{}{}", subject.name, subject.set.text(), describe(arrival))
}

/// The request as `ward policy check` reads it.
pub(crate) fn describe(arrival: &Arrival) -> String {
    json!({
        "peer": arrival.peer,
        "method": arrival.method,
        "path": arrival.target,
        "host": arrival.host,
        "headers": arrival.headers,
        "sni": arrival.sni,
        "source_ip": arrival.source_ip,
        "remote_ip": arrival.remote_ip,
        "destination_ip": arrival.destination_ip,
        "port": arrival.port,
        "protocol": arrival.protocol,
    })
    .to_string()
}
