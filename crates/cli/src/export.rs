//! `ward export`: the model in the words of others. What a format cannot say is told on standard error, and in the export
//! where it has comments.
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Subcommand, ValueEnum};
use interop::export::{
    ExportError, Exported, Note,
    cluster::{Choice, Cluster, Workloads, cluster},
    istio::{self, Documents, Selected},
    network_policy::{self, Between, Reach},
    otm::{self, Weakness},
};
use model::{Model, Name, TrustDomain};
use posture::Severity;

use crate::{
    graph::{self, Format},
    model_dir, output,
    posture::Day,
    progress::during,
};

/// Write a model as others read it
///
/// docs/export.md says what each format expresses of a model and what it does not. What is not expressed is also told on
/// standard error, and in comments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Istio(Istio),
    NetworkPolicy(NetworkPolicy),
    Otm(Otm),
    Mermaid(Drawing),
    Svg(Picture),
}

/// Istio's documents: who may ask what of whom, over mutual TLS
///
/// For each workload the AuthorizationPolicies of the flows into it, one that allows nothing where no flow leads,
/// RequestAuthentications where flows need tokens, PeerAuthentications, and the documents beside the model. They allow what
/// the model's flows allow and nothing else.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ward export istio examples/shop --trust-domain cluster.local | kubectl apply -f -\n  \
ward export istio . --namespace shop --label app.kubernetes.io/name --out istio.yaml\n\n\
Exit codes: 0 written, 1 the model has errors or cannot be exported so, 2 a file cannot be read or written"
)]
struct Istio {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Trust domain of the mesh there, in place of the model's
    #[arg(long, value_name = "DOMAIN", value_parser = trust_domain)]
    trust_domain: Option<TrustDomain>,
}

/// Kubernetes' NetworkPolicies: which pod may connect to which, and to which ports
///
/// Nothing passes in the namespaces of the model but what its flows say, and questions to the cluster's DNS.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward export network-policy examples/shop | kubectl apply -f -\n  \
ward export network-policy . --reach istio-system:15012 --out network.yaml\n\n\
Exit codes: 0 written, 1 the model has errors or cannot be exported so, 2 a file cannot be read or written")]
struct NetworkPolicy {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Pods meet on port 15008, that of Ward's sidecars and of Istio's ambient mode
    #[arg(long)]
    mesh: bool,
    /// What every workload may reach too, such as the control plane of a mesh
    #[arg(long, value_name = "NAMESPACE:PORT,...", value_delimiter = ',', value_parser = reach)]
    reach: Vec<Reach>,
}

/// An Open Threat Model (OTM 0.2.0), with what `ward posture` finds as threats
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ward export otm examples/shop --out shop.otm\n  ward export otm -o json . | jq '.threats[].name'\n\n\
Exit codes: 0 written, 1 the model has errors, 2 a file cannot be read or written"
)]
struct Otm {
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    day: Day,
}

/// A Mermaid flowchart, as `ward graph` draws it
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward export mermaid examples/shop >> README.md\n\n\
Exit codes: 0 drawn, 1 the model has errors, 2 a file cannot be read or written")]
struct Drawing {
    #[command(flatten)]
    place: Place,
}

/// A picture for any browser, as `ward graph --format svg` draws it
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ward export svg examples/shop --out shop.svg\n\n\
Exit codes: 0 drawn, 1 the model has errors, 2 a file cannot be read or written")]
struct Picture {
    #[command(flatten)]
    place: Place,
}

/// From where and to where.
#[derive(clap::Args)]
struct Place {
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where to write it; standard output without
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
struct To {
    #[command(flatten)]
    place: Place,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Form::Yaml, value_name = "FORMAT")]
    form: Form,
}

/// The forms of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// With comments
    Yaml,
    /// Documents of Kubernetes as one List
    Json,
}

/// What is there.
#[derive(clap::Args)]
struct ClusterArgs {
    #[command(flatten)]
    to: To,
    /// Key of the label that says of a pod which node it is
    #[arg(long, value_name = "KEY", default_value = model::istio::NODE_LABEL)]
    label: String,
    /// One namespace for all workloads, in place of their own
    #[arg(long, value_name = "NAME", value_parser = name)]
    namespace: Option<Name>,
    /// Which nodes run in the cluster [default: those under Ward if there are any, else all]
    #[arg(long, value_enum, value_name = "WHICH")]
    workloads: Option<Which>,
    /// Nodes that do not run in the cluster
    #[arg(long, value_name = "NODE,...", value_delimiter = ',')]
    outside: Vec<String>,
}

/// Which nodes run in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Those with `run`, `attest` or `role`
    UnderWard,
    /// Services and stores, but those with `endpoints` and those in zones without trust
    All,
}

fn name(text: &str) -> Result<Name, String> {
    Name::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn trust_domain(text: &str) -> Result<TrustDomain, String> {
    TrustDomain::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn reach(text: &str) -> Result<Reach, String> {
    let wrong = || format!("`{text}` is no namespace and port: write istio-system:15012");
    let (namespace, port) = text.split_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    Ok(Reach { namespace: name(namespace)?, port })
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Istio(args) => istio_documents(&args),
        Command::NetworkPolicy(args) => network_policies(&args),
        Command::Otm(args) => threat_model(&args),
        Command::Mermaid(Drawing { place }) => graph::draw(&place.dir, Format::Mermaid, place.out.as_deref()),
        Command::Svg(Picture { place }) => graph::draw(&place.dir, Format::Svg, place.out.as_deref()),
    }
}

fn istio_documents(args: &Istio) -> anyhow::Result<ExitCode> {
    let ClusterArgs { to, label, .. } = &args.cluster;
    let Some((_, model)) = model_dir::load(&to.place.dir)? else { return Ok(ExitCode::from(output::FINDINGS)) };
    // The documents of a model that the proxies would refuse are refused here too.
    if let Err(errors) = during("compiling policies", || policy::flows::check(&model)) {
        errors.iter().for_each(|error| eprintln!("error: {}", output::visible(&error.to_string())));
        return Ok(ExitCode::from(output::FINDINGS));
    }
    let choice = args.cluster.choice(args.trust_domain.clone());
    finish(to, || cluster(&model, choice).and_then(|inside| istio::export(&inside, documents(&model, &inside), label)))
}

/// What the flows of the cluster compile to, and what stands beside the model, with the nodes that it speaks for.
pub(crate) fn documents(model: &Model, inside: &Cluster) -> Documents {
    let semantics = policy::semantics_of(model);
    let workloads: Vec<_> =
        model.nodes.keys().filter_map(|node| Some((node, policy::workload_for(model, node.as_str())?))).collect();
    let nodes_of = |selects: &dyn Fn(&policy::Workload) -> bool| {
        workloads.iter().filter(|(_, workload)| selects(workload)).map(|(node, _)| (*node).clone()).collect()
    };
    let policies = model.policies.iter().map(|one| Selected {
        document: one.clone(),
        nodes: nodes_of(&|workload| !policy::selected(semantics, workload, std::slice::from_ref(one)).is_empty()),
    });
    let authentications = model.authentications.iter().map(|one| Selected {
        document: one.clone(),
        nodes: nodes_of(&|workload| !policy::token_rules(semantics, workload, std::slice::from_ref(one)).is_empty()),
    });
    Documents {
        policies: policy::flows::compile(&inside.model),
        authentications: policy::authentications(&inside.model),
        written_policies: policies.collect(),
        written_authentications: authentications.collect(),
    }
}

fn network_policies(args: &NetworkPolicy) -> anyhow::Result<ExitCode> {
    let ClusterArgs { to, label, .. } = &args.cluster;
    let Some((_, model)) = model_dir::load(&to.place.dir)? else { return Ok(ExitCode::from(output::FINDINGS)) };
    let between = if args.mesh { Between::Mesh } else { Between::Applications };
    finish(to, || {
        let inside = cluster(&model, args.cluster.choice(None))?;
        network_policy::export(&inside, label, between, &args.reach)
    })
}

fn threat_model(args: &Otm) -> anyhow::Result<ExitCode> {
    let To { place, form } = &args.to;
    let Some((text, model)) = model_dir::load(&place.dir)? else { return Ok(ExitCode::from(output::FINDINGS)) };
    let today = args.day.date()?;
    let text = during("writing the threat model", || -> anyhow::Result<String> {
        let findings = posture::grade(posture::Input { model: &model, text: Some(&text), today });
        let weaknesses: Vec<Weakness> = findings.iter().map(weakness).collect();
        let threat_model = otm::Otm::new(&model, &weaknesses);
        Ok(match form {
            Form::Yaml => threat_model.yaml()?,
            Form::Json => format!("{:#}\n", serde_json::to_value(&threat_model)?),
        })
    })?;
    output::write_of(&place.dir, place.out.as_deref(), &text)?;
    if model.nodes.len() > otm::DRAWN_NODES_MAX {
        let what = format!("a diagram of {} nodes", model.nodes.len());
        let note =
            Note::new("the model", what, format!("only models of up to {} nodes have one", otm::DRAWN_NODES_MAX));
        eprint!("{}", output::visible(&said(&[note])));
    }
    Ok(ExitCode::SUCCESS)
}

fn weakness(finding: &posture::Finding) -> Weakness {
    let risk = match finding.waived.as_ref().map_or(finding.severity, |waived| waived.severity) {
        Severity::Accepted => 0,
        Severity::Low => 25,
        Severity::Medium => 50,
        Severity::High => 75,
        Severity::Critical => 100,
    };
    let accepted = finding.waived.as_ref();
    Weakness {
        id: finding.id.clone(),
        risk,
        why: finding.why.clone(),
        mend: finding.fix.words.clone(),
        accepted: accepted.map(|waived| format!("{} ({}, until {})", waived.why, waived.owner, waived.until)),
        controls: finding.controls.iter().map(ToString::to_string).collect(),
    }
}

impl ClusterArgs {
    fn choice(&self, trust_domain: Option<TrustDomain>) -> Choice {
        let workloads = self.workloads.map(|which| match which {
            Which::UnderWard => Workloads::UnderWard,
            Which::All => Workloads::All,
        });
        let namespace = self.namespace.clone();
        Choice { workloads, outside: self.outside.clone(), namespace, trust_domain }
    }
}

/// Makes and writes an export, and says what is not in it.
fn finish(to: &To, make: impl FnOnce() -> Result<Exported, ExportError>) -> anyhow::Result<ExitCode> {
    let exported = match during("writing documents", make) {
        Ok(exported) => exported,
        Err(error) => {
            eprintln!("error: {}", output::visible(&error.to_string()));
            return Ok(ExitCode::from(output::FINDINGS));
        }
    };
    let text = match to.form {
        Form::Yaml => exported.yaml(),
        Form::Json => format!("{:#}\n", exported.list()),
    };
    output::write_of(&to.place.dir, to.place.out.as_deref(), &text)?;
    eprint!("{}", output::visible(&said(&exported.notes)));
    Ok(ExitCode::SUCCESS)
}

/// Most words and subjects that are listed in one line.
const LISTED_MAX: usize = 8;

/// Notes as lines: those of one word for one reason in one, and for a reason with many words all of them in one.
fn said(notes: &[Note]) -> String {
    let mut reasons: Vec<Vec<&Note>> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    for note in notes {
        let at = *known.entry((note.about, &note.why)).or_insert(reasons.len());
        match reasons.get_mut(at) {
            Some(reason) => reason.push(note),
            None => reasons.push(vec![note]),
        }
    }
    let mut out = String::new();
    for reason in reasons {
        let words: BTreeSet<&str> = reason.iter().map(|note| note.what.as_str()).collect();
        let by_word = |word: &&str| reason.iter().copied().filter(|note| note.what == **word).collect();
        let lines: Vec<Vec<&Note>> = match words.len() > LISTED_MAX {
            true => vec![reason.clone()],
            false => first_of_each(&reason).iter().map(by_word).collect(),
        };
        for line in lines {
            let Some(first) = line.first() else { continue };
            let (what, subjects) =
                (listed(first_of_each(&line)), listed(line.iter().map(|note| note.subject.as_str())));
            out += &format!("{}: {what}: {} ({subjects})\n", first.about.as_str(), first.why);
        }
    }
    out
}

/// The words of notes, once each, in their order.
fn first_of_each<'n>(notes: &[&'n Note]) -> Vec<&'n str> {
    let mut seen = BTreeSet::new();
    notes.iter().map(|note| note.what.as_str()).filter(|what| seen.insert(*what)).collect()
}

/// The first of many, and how many more there are.
fn listed<'n>(all: impl IntoIterator<Item = &'n str>) -> String {
    let mut all = all.into_iter();
    let shown = all.by_ref().take(LISTED_MAX).collect::<Vec<_>>().join(", ");
    match all.count() {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
