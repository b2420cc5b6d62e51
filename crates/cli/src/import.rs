//! `ward import`: a first model from what others drew or deployed.
use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use interop::import::{self, ImportError, Imported};
use model::SourceFile;

use crate::{
    diagnostics, model_dir,
    output::{self, Output},
    progress::during,
};

/// Endings of files that are read of a directory.
const ENDINGS: [&str; 7] = [".yaml", ".yml", ".json", ".mmd", ".mermaid", ".md", ".otm"];
/// Largest file, and largest standard input.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Most bytes of all files together.
const ALL_BYTES_MAX: u64 = 64 << 20;
/// Lines of each list of the summary; `-o json` has them all.
const LINES_MAX: usize = 10;

/// Make a model of what others drew or deployed
///
/// Reads Mermaid diagrams (also inside Markdown), docker-compose files, Kubernetes manifests, Terraform plans, Threagile
/// models and Open Threat Models, several at once, into one commented model that passes `ward check`. What the sources
/// do not say is guessed, and marked `# guessed:` with the reason. No value of a secret is ever copied.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ward import docker-compose.yml --out shop && ward posture shop\n  \
kubectl get all,secret,ingress,networkpolicy -o json | ward import -\n  \
terraform show -json plan.out | ward import - --format terraform --out cloud\n  ward import README.md k8s/ -o json | jq '.left_out'\n\n\
Exit codes: 0 imported, 1 a file is not what it should be, or nothing in it makes a model, 2 a file cannot be read or written")]
pub(crate) struct Args {
    /// Files, directories, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the files are; without, each is what it looks like
    #[arg(id = "source", long = "format", value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write DIR/ward.yaml; without, the model goes to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite a ward.yaml that is there
    #[arg(long, requires = "out")]
    force: bool,
    /// The model's name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// What a file can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Mermaid flowcharts and sequence diagrams, alone or inside Markdown
    Mermaid,
    /// A docker-compose file
    Compose,
    /// Kubernetes manifests, YAML or JSON
    Kubernetes,
    /// `terraform show -json` of a plan or a state
    Terraform,
    /// A Threagile model
    Threagile,
    /// An Open Threat Model
    Otm,
}

impl Format {
    fn of(self) -> import::Format {
        match self {
            Self::Mermaid => import::Format::Mermaid,
            Self::Compose => import::Format::Compose,
            Self::Kubernetes => import::Format::Kubernetes,
            Self::Terraform => import::Format::Terraform,
            Self::Threagile => import::Format::Threagile,
            Self::Otm => import::Format::Otm,
        }
    }
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let format = args.format.map(Format::of);
    let read = match read(&args.files, format)? {
        Ok(read) => read,
        Err(error) => return Ok(refuse(&error)),
    };
    let made = during("reading the sources", || import::import_as(&read.files, format, args.name.as_deref()));
    let imported = match made {
        Ok(imported) => imported,
        Err(error) => return Ok(refuse(&error)),
    };
    if let Some(dir) = &args.out {
        write(dir, &imported.written.text, args.force)?;
    }
    match (args.output.is_json(), &args.out) {
        (true, _) => output::print_json(&imported)?,
        (false, None) => output::print(&imported.written.text)?,
        (false, Some(_)) => {}
    }
    if !args.output.is_json() {
        let summary = summary(&imported, &read.passed_over, args.out.as_deref());
        // The model is written; that nobody reads on is no failure.
        let _ = std::io::stderr().write_all(output::visible(&summary).as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse(error: &ImportError) -> ExitCode {
    eprintln!("error: {}", output::visible(&error.to_string()));
    ExitCode::from(output::FINDINGS)
}

/// What was named on the command line.
struct Read {
    files: Vec<SourceFile>,
    /// Files of directories that are nothing which is imported.
    passed_over: Vec<String>,
}

/// Reads what was named. A file that was named must be something; one that only lies in a directory need not.
fn read(paths: &[PathBuf], format: Option<import::Format>) -> anyhow::Result<Result<Read, ImportError>> {
    let mut read = Read { files: Vec::new(), passed_over: Vec::new() };
    let mut bytes = 0_u64;
    let mut seen = HashSet::new();
    for path in paths {
        let mut found = Vec::new();
        if path.as_os_str() == "-" {
            let mut text = Vec::new();
            std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut text).context("cannot read standard input")?;
            found.push(source("standard input", text)?);
        } else if fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.is_dir() {
            for mut file in model_dir::read_ending(path, &ENDINGS)? {
                file.name = path.join(&file.name).display().to_string();
                match import::recognize(&file) {
                    Ok(Some(known)) if format.is_none_or(|wanted| wanted == known) => found.push(file),
                    Ok(_) => read.passed_over.push(file.name),
                    Err(error) => return Ok(Err(error)),
                }
            }
        } else {
            let file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            let mut text = Vec::new();
            file.take(FILE_BYTES_MAX + 1)
                .read_to_end(&mut text)
                .with_context(|| format!("cannot read {}", path.display()))?;
            found.push(source(&path.display().to_string(), text)?);
        }
        for file in found {
            bytes += file.text.len() as u64;
            if bytes > ALL_BYTES_MAX {
                bail!("the files are larger than {ALL_BYTES_MAX} bytes together: import them in parts");
            }
            // A file that is named twice, or lies in a directory that is named too, is read once.
            let same = fs::canonicalize(&file.name).unwrap_or_else(|_| PathBuf::from(&file.name));
            if seen.insert(same) {
                read.files.push(file);
            }
        }
    }
    if read.files.is_empty() {
        bail!(
            "no file in {} is something that is imported: name one with --format",
            paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(Ok(read))
}

fn source(name: &str, bytes: Vec<u8>) -> anyhow::Result<SourceFile> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("{name} is larger than {FILE_BYTES_MAX} bytes");
    }
    let bytes = match bytes.get(..2) {
        Some([0xff, 0xfe]) => utf16(name, &bytes, u16::from_le_bytes)?,
        Some([0xfe, 0xff]) => utf16(name, &bytes, u16::from_be_bytes)?,
        _ => bytes,
    };
    let text = String::from_utf8(bytes)
        .map_err(|e| anyhow::anyhow!("{name} is not UTF-8 at byte {}", e.utf8_error().valid_up_to()))?;
    Ok(SourceFile { name: name.to_owned(), text })
}

/// UTF-16 with its mark, as `>` of PowerShell writes it.
fn utf16(name: &str, bytes: &[u8], unit: fn([u8; 2]) -> u16) -> anyhow::Result<Vec<u8>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text = String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<_>>());
    match text.ok().filter(|_| rest.is_empty()) {
        Some(text) => Ok(text.into_bytes()),
        None => bail!("{name} begins as UTF-16 and is none: write it as UTF-8"),
    }
}

fn write(dir: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join("ward.yaml");
    // All YAML of a directory is the model's: beside what was imported it would be refused.
    let mut files = model_dir::read(dir)?;
    files.retain(|f| f.name != "ward.yaml");
    files.push(SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() });
    if let Some(error) = model::load(&files).diagnostics.iter().find(|d| d.severity == model::Severity::Error) {
        let other = dir.join(&error.file);
        bail!(
            "{} lies in the same directory and is no part of a model ({}): write to a directory of its own",
            other.display(),
            error.message
        );
    }
    let mut options = OpenOptions::new();
    options.write(true);
    // Creating and checking are one step, so that nothing written meanwhile is lost.
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = match options.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already: name another directory, or overwrite it with --force", path.display());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
    };
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// What was read, made, guessed and left out, and what to do next.
fn summary(imported: &Imported, passed_over: &[String], out: Option<&Path>) -> String {
    let mut text = String::new();
    let read = imported.sources.iter().map(|(file, format)| format!("read {file} as {}", format.as_str()));
    list(&mut text, read.collect());
    list(&mut text, passed_over.iter().map(|file| format!("passed over {file}: nothing that is imported")).collect());
    let [zones, data, nodes, flows] = imported.written.nouns;
    let count = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let _ = writeln!(
        text,
        "{}, {}, {}, {}; {}",
        count(zones, "zone", "zones"),
        count(data, "datum", "data"),
        count(nodes, "node", "nodes"),
        count(flows, "flow", "flows"),
        match imported.written.guessed {
            0 => "nothing was guessed".to_owned(),
            n => format!("{}: look at the lines with `# guessed:`", count(n, "field is a guess", "fields are guesses")),
        }
    );
    if !imported.written.left_out.is_empty() {
        let _ = writeln!(text, "\nleft out:");
        list(
            &mut text,
            imported.written.left_out.iter().map(|l| format!("  {}: {} ({})", l.place, l.what, l.why)).collect(),
        );
    }
    if !imported.warnings.is_empty() {
        let _ = writeln!(text, "\n`ward check` warns:");
        list(&mut text, imported.warnings.iter().map(|w| format!("  {}", diagnostics::line(w).trim_end())).collect());
    }
    let _ = match out {
        Some(dir) => {
            let dir = dir.display();
            writeln!(
                text,
                "\nwrote {dir}/ward.yaml\n\nnext:\n  ward check {dir}      what is not enforced yet\n  \
                 ward posture {dir}    where it is weak\n  ward graph {dir}      the diagram"
            )
        }
        None => writeln!(
            text,
            "\nnext: write it with --out DIR, then `ward check DIR`, `ward posture DIR`, `ward graph DIR`"
        ),
    };
    text
}

/// The first lines, and how many more there are.
fn list(text: &mut String, lines: Vec<String>) {
    let more = lines.len().saturating_sub(LINES_MAX);
    for line in lines.into_iter().take(LINES_MAX) {
        let _ = writeln!(text, "{line}");
    }
    if more > 0 {
        let _ = writeln!(text, "  and {more} more: `-o json` has them all");
    }
}

#[cfg(test)]
mod tests;
