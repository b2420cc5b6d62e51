//! `ward policy check`: the answers of one workload's proxy to recorded or invented requests, offline, one a line.
mod tokens;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, LineWriter, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use model::{Diagnostic, Documents, Severity, SourceFile};
use policy::{
    CompileError, Protocol, Semantics, Workload,
    gate::{Arrival, Gate, Verdict},
};
use serde::Serialize;
use serde_json::{Map, Value};

use self::tokens::Keys;
use crate::{clock::Clock, diagnostics, model_dir, output};

/// Longest line read; a longer one is answered with 400 and skipped.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Answer requests from a file as the proxy would: one JSON object a line in, one a line out
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ward policy check --policies examples/shop --node payments --requests requests.jsonl\n  \
echo '{\"id\": 1, \"path\": \"/admin\"}' | ward policy check --policies istio/ --compat istio\n\n\
A request: id, peer (SPIFFE URI), method (GET), path (/), host (svc),\n  headers ([[name, value], ...]), jwt (claims of a validated token; without\n  it, tokens in the request are proven with the keys in the documents), sni,\n  source_ip, remote_ip, port, protocol (http, or tcp); only what differs is needed\n\
An answer: id, status (200, 400, 401, 403), decision, policy, rule, reason;\n  detail too when a line is no request\n\n\
Exit codes: 0 every line was answered, 1 a line is no request, or the policies are refused, 2 something cannot be read"
)]
pub(crate) struct Check {
    /// Directory of a model, or of Istio's documents alone
    #[arg(long, value_name = "DIR")]
    policies: PathBuf,
    /// Which node of the model is asked
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Exactly as this product, instead of Ward's safer reading
    #[arg(long, value_enum, value_name = "PRODUCT")]
    compat: Option<Compat>,
    /// File of requests; `-` or nothing is standard input
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// Namespace of the workload; needed when the policies are in several
    #[arg(long, value_name = "NAME", conflicts_with = "node")]
    namespace: Option<String>,
    /// Labels of the workload
    #[arg(long, value_name = "KEY=VALUE,...", value_delimiter = ',', conflicts_with = "node")]
    labels: Vec<String>,
    /// Namespace whose policies hold everywhere
    #[arg(long, value_name = "NAME", default_value = "istio-system", conflicts_with = "node")]
    root_namespace: String,
    /// Trust domain of the mesh, then its aliases
    #[arg(
        long,
        value_name = "DOMAIN,...",
        value_delimiter = ',',
        default_value = "cluster.local",
        conflicts_with = "node"
    )]
    trust_domain: Vec<String>,
}

/// The products whose reading can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Compat {
    /// Istio's meaning as Envoy enforces it, in their default settings
    Istio,
}

/// Runs it.
pub(super) fn run(args: &Check) -> anyhow::Result<ExitCode> {
    let Some(gate) = gate(args)? else { return Ok(ExitCode::from(output::FINDINGS)) };
    let (mut keys, unknown) = Keys::of(gate.tokens());
    for warning in gate.warnings().map(ToString::to_string).chain(unknown) {
        eprintln!("warning: {warning}");
    }
    let out = io::stdout().lock();
    let readable = match args.requests.as_deref().filter(|path| *path != Path::new("-")) {
        // Whoever asks line by line waits for each answer.
        None => answer_all(&gate, &mut keys, io::stdin().lock(), LineWriter::new(out)),
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            answer_all(&gate, &mut keys, BufReader::new(file), BufWriter::new(out))
        }
    };
    match readable {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::from(output::FINDINGS)),
        // Whoever reads us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error).context("cannot go on"),
    }
}

/// The workload's gate; `None` when the documents are refused, which was said on standard error.
fn gate(args: &Check) -> anyhow::Result<Option<Gate>> {
    let semantics = match args.compat {
        Some(Compat::Istio) => Semantics::Istio,
        None => Semantics::Ward,
    };
    let mut files = model_dir::read(&args.policies)?;
    let built = if files.iter().any(|file| file.name == "ward.yaml") {
        let loaded = model::load(&files);
        let Some(model) = loaded.model else {
            eprintln!("{}", diagnostics::render(&files, &loaded.diagnostics));
            return Ok(None);
        };
        let Some(name) = &args.node else {
            let nodes: Vec<&str> =
                model.nodes.iter().filter(|(_, n)| n.under_ward()).map(|(name, _)| name.as_str()).collect();
            bail!(
                "{} holds a model: name the node that is asked with --node; it has {}",
                args.policies.display(),
                nodes.join(", ")
            );
        };
        match model.nodes.get(name.as_str()) {
            None => {
                let near = model::closest(name, model.nodes.keys().map(|name| name.as_str()));
                let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                bail!("the model has no node `{name}`{help}");
            }
            Some(node) if !node.under_ward() => {
                bail!("`{name}` is not under Ward (it has no `run`, `attest` or `role`): nothing is decided there");
            }
            Some(_) => Gate::of_node(semantics, &model, name),
        }
    } else {
        if let Some(node) = &args.node {
            bail!(
                "{} holds no ward.yaml, and so no node `{node}`: leave --node out, or use --namespace and --labels",
                args.policies.display()
            );
        }
        files = model_dir::read_resources(&args.policies)?;
        let documents = model::load_documents(&files);
        if !documents.diagnostics.is_empty() {
            eprint!("{}", summary(&files, &documents.diagnostics));
        }
        if documents.diagnostics.iter().any(|d| d.severity == Severity::Error) {
            return Ok(None);
        }
        if documents.policies.is_empty() {
            eprintln!(
                "warning: {} holds no AuthorizationPolicy, so that everything is allowed",
                args.policies.display()
            );
        }
        let workload = workload(args, &documents)?;
        Gate::of_documents(semantics, &workload, &documents)
    };
    match built {
        Ok(gate) => Ok(Some(gate)),
        Err(errors) => {
            for error in &errors {
                eprintln!("{}", place(&files, error));
            }
            Ok(None)
        }
    }
}

fn summary(files: &[SourceFile], found: &[Diagnostic]) -> String {
    let text = diagnostics::render(files, found);
    text.replace("the model is", "the documents are")
}

/// An error with the file it stands in, when it stands in one.
fn place(files: &[SourceFile], error: &CompileError) -> String {
    let at = (error.policy.as_str(), error.field.as_str());
    let found = model::policy_diagnostic(files, Severity::Error, at, error.message.clone(), error.help.clone());
    match files.iter().any(|file| file.name == found.file) {
        true => diagnostics::line(&found).trim_end().to_owned(),
        false => format!("error: {error}"),
    }
}

/// The workload that documents without a model are about.
fn workload(args: &Check, documents: &Documents) -> anyhow::Result<Workload> {
    let metadata = documents.policies.iter().map(|one| &one.metadata);
    let metadata = metadata.chain(documents.peers.iter().map(|one| &one.metadata));
    let metadata = metadata.chain(documents.tokens.iter().map(|one| &one.metadata));
    let namespaces: BTreeSet<&str> =
        metadata.map(|one| one.namespace.as_str()).filter(|name| *name != args.root_namespace).collect();
    let namespace = match (&args.namespace, namespaces.iter().collect::<Vec<_>>().as_slice()) {
        (Some(namespace), _) => namespace.clone(),
        (None, []) => "default".to_owned(),
        (None, [one]) => (**one).to_owned(),
        (None, many) => {
            let many: Vec<&str> = many.iter().map(|name| **name).collect();
            bail!("the policies are in namespaces {}: name the workload's with --namespace", many.join(", "));
        }
    };
    let mut labels = std::collections::BTreeMap::new();
    for label in &args.labels {
        let Some((key, value)) = label.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            bail!("`{label}` is not a label: write --labels app=orders,version=v1");
        };
        labels.insert(key.to_owned(), value.to_owned());
    }
    let mut domains = args.trust_domain.iter().cloned();
    Ok(Workload {
        namespace,
        labels,
        root_namespace: args.root_namespace.clone(),
        trust_domain: domains.next().unwrap_or_default(),
        aliases: domains.collect(),
    })
}

/// One line of output.
#[derive(Serialize)]
struct Answer {
    id: Value,
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Answers every line; whether each of them was a request. Holds one line at a time.
fn answer_all(gate: &Gate, keys: &mut Keys, mut input: impl BufRead, mut out: impl Write) -> io::Result<bool> {
    let mut all = true;
    let mut line = Vec::new();
    for number in 1_u64.. {
        let answer = match next_line(&mut input, &mut line)? {
            Line::End => break,
            Line::TooLong => Answer {
                id: Value::Null,
                verdict: Verdict::refused(400, "bad-line"),
                detail: Some(format!("line {number} is longer than {LINE_BYTES_MAX} bytes")),
            },
            Line::Read if line.trim_ascii().is_empty() => continue,
            Line::Read => answer(gate, keys, number, &line),
        };
        all &= answer.detail.is_none();
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(all)
}

enum Line {
    End,
    Read,
    TooLong,
}

fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut too_long = false;
    let mut any = false;
    loop {
        let bytes = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if bytes.is_empty() {
            break;
        }
        any = true;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (part, used) = match end {
            Some(end) => (bytes.get(..end).unwrap_or_default(), end + 1),
            None => (bytes, bytes.len()),
        };
        too_long |= line.len() + part.len() > LINE_BYTES_MAX;
        if !too_long {
            line.extend_from_slice(part);
        }
        input.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(if too_long {
        Line::TooLong
    } else if any {
        Line::Read
    } else {
        Line::End
    })
}

fn answer(gate: &Gate, keys: &mut Keys, number: u64, line: &[u8]) -> Answer {
    let bad =
        |id: Value, detail: String| Answer { id, verdict: Verdict::refused(400, "bad-line"), detail: Some(detail) };
    let mut fields = match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return bad(Value::Null, format!("line {number} is no JSON object")),
        Err(error) => {
            let (text, column) = (error.to_string(), error.column());
            let cause = text.rsplit_once(" at line ").map_or(text.as_str(), |(cause, _)| cause);
            return bad(Value::Null, format!("line {number} is no JSON: {cause} at column {column}"));
        }
    };
    let id = fields.remove("id").unwrap_or_default();
    match arrival(fields) {
        Ok(arrival) => {
            let verdict = gate.answer_proving(&arrival, &mut keys.at(Clock::unix()));
            Answer { id, verdict, detail: None }
        }
        Err(detail) => bad(id, format!("line {number}: {detail}")),
    }
}

/// A request out of its fields. Others are left alone, so that lines can carry what is expected, or notes.
pub(crate) fn arrival(mut fields: Map<String, Value>) -> Result<Arrival, String> {
    let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
    let port = match take("port") {
        None => None,
        Some(value) => {
            let port = value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            Some(port.ok_or_else(|| format!("`port` is {value}, and must be a number from 1 to 65535"))?)
        }
    };
    let jwt = take("jwt");
    if let Some(claims) = jwt.as_ref().filter(|claims| !claims.is_object()) {
        return Err(format!("`jwt` is {claims}, and must be an object of claims"));
    }
    let headers = match take("headers") {
        None => Vec::new(),
        Some(value) => serde_json::from_value::<Vec<(String, String)>>(value)
            .map_err(|error| format!("`headers` must be [[name, value], …]: {error}"))?,
    };
    let protocol = match text("protocol", take("protocol"))?.as_deref() {
        None | Some("http") => Protocol::Http,
        Some("tcp") => Protocol::Tcp,
        Some(other) => return Err(format!("`protocol` is `{other}`, and must be http or tcp")),
    };
    let host = match text("host", take("host"))? {
        Some(host) => host,
        // The only place left where a host can stand; a second one that differs is refused by the gate.
        None => {
            let named = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
            named.map_or_else(|| "svc".to_owned(), |(_, host)| host.trim_matches([' ', '\t']).to_owned())
        }
    };
    Ok(Arrival {
        peer: text("peer", take("peer"))?,
        method: text("method", take("method"))?.unwrap_or_else(|| "GET".to_owned()),
        target: text("path", take("path"))?.unwrap_or_else(|| "/".to_owned()),
        host,
        headers,
        jwt,
        sni: text("sni", take("sni"))?,
        source_ip: address("source_ip", take("source_ip"))?,
        remote_ip: address("remote_ip", take("remote_ip"))?,
        destination_ip: address("destination_ip", take("destination_ip"))?,
        port,
        protocol,
    })
}

fn text(name: &str, value: Option<Value>) -> Result<Option<String>, String> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("`{name}` is {other}, and must be a text")),
    }
}

fn address(name: &str, value: Option<Value>) -> Result<Option<IpAddr>, String> {
    let Some(text) = text(name, value)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| format!("`{name}` is `{text}`, and must be an IP address"))
}

#[cfg(test)]
mod tests;
