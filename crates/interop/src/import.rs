//! What others drew or deployed, as a model of ours: `import` finds out what each file is and has it read into one draft.
use model::{
    Diagnostic, SourceFile,
    diagnostic::Severity,
    load::{FILE_BYTES_MAX, NOUNS_MAX},
    tree::{Tree, TreeError},
};

use crate::draft::{self, Draft, Kind};
pub use crate::draft::{LeftOut, Written};

pub mod compose;
pub mod kubernetes;
pub mod mermaid;
pub mod otm;
pub mod terraform;
pub mod threagile;

/// What a file can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Mermaid flowcharts and sequence diagrams, alone or in the code blocks of a Markdown text.
    Mermaid,
    /// A docker-compose file (the Compose Specification).
    Compose,
    /// Kubernetes manifests, YAML or JSON.
    Kubernetes,
    /// `terraform show -json` of a plan or a state.
    Terraform,
    /// A Threagile model.
    Threagile,
    /// An Open Threat Model, YAML or JSON.
    Otm,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::Mermaid, Self::Compose, Self::Kubernetes, Self::Terraform, Self::Threagile, Self::Otm];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mermaid => "mermaid",
            Self::Compose => "compose",
            Self::Kubernetes => "kubernetes",
            Self::Terraform => "terraform",
            Self::Threagile => "threagile",
            Self::Otm => "otm",
        }
    }
}

/// A document of a file.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// The file it is in.
    pub file: &'a str,
    /// What it says.
    pub tree: Tree,
}

impl Document<'_> {
    /// Where a part of it stands: `app.yaml:12`; the file alone in JSON.
    pub fn place(&self, tree: &Tree) -> String {
        place(self.file, tree.line)
    }
}

/// Where something stands.
pub fn place(file: &str, line: usize) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read as what it is.
    #[error("{file}: {error}")]
    Broken {
        /// The file.
        file: String,
        /// What is wrong.
        error: TreeError,
    },
    /// A file is nothing that is known.
    #[error(
        "{0}: this is no Mermaid diagram, docker-compose file, Kubernetes manifest, Terraform plan (`terraform show -json`), \
         Threagile model or Open Threat Model; name what it is with --format"
    )]
    Unknown(String),
    /// A file is not what the caller says, or asks for something that an importer cannot take.
    #[error("{place}: {why}")]
    Refused {
        /// Where: `file` or `file:line`.
        place: String,
        /// What is wrong, and what to do about it.
        why: String,
    },
    /// What was read has no node.
    #[error("nothing to make a model of: {0}")]
    Nothing(String),
    /// More than a model may have.
    #[error("this has {0} {1}, and a model may have {NOUNS_MAX} zones, data, nodes or flows each: import it in parts")]
    TooMany(usize, &'static str),
    /// A longer text than a model may have.
    #[error("the model would have {0} bytes, and a model may have {FILE_BYTES_MAX}: import it in parts")]
    TooLong(usize),
    /// The model that came out is not one: a mistake of Ward.
    #[error("Ward made a model that it would refuse itself, which is a mistake of Ward: {0}")]
    Refuses(String),
}

/// What was imported.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Imported {
    /// The model, and what was guessed and left out.
    #[serde(flatten)]
    pub written: Written,
    /// Each file and what it was read as.
    pub sources: Vec<(String, Format)>,
    /// What `ward check` warns of.
    pub warnings: Vec<Diagnostic>,
}

/// Reads files into one model. Without a format each file is what it looks like.
///
/// # Errors
/// A file cannot be read, is nothing known, or nothing in all of them is a node.
pub fn import(files: &[SourceFile], format: Option<Format>) -> Result<Imported, ImportError> {
    import_as(files, format, None)
}

/// What a file is; none where it is nothing that is read.
///
/// # Errors
/// It is broken, and was meant to be something.
pub fn recognize(file: &SourceFile) -> Result<Option<Format>, ImportError> {
    match read(file, None) {
        Ok((format, _)) => Ok(Some(format)),
        Err(ImportError::Unknown(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same as [`import`], under a name.
///
/// # Errors
/// As [`import`].
pub fn import_as(files: &[SourceFile], format: Option<Format>, name: Option<&str>) -> Result<Imported, ImportError> {
    let mut draft = Draft::default();
    if let Some(name) = name {
        draft.title(name);
    }
    let mut sources = Vec::new();
    let mut parsed: Vec<(Format, Vec<Document<'_>>)> = Vec::new();
    for file in files {
        let (format, documents) = read(file, format)?;
        sources.push((file.name.clone(), format));
        match parsed.iter_mut().find(|(f, _)| *f == format) {
            Some((_, all)) => all.extend(documents),
            None => parsed.push((format, documents)),
        }
    }
    // Manifests look for the cluster that a plan has, in whatever order the files are named.
    parsed.sort_by_key(|(format, _)| (*format == Format::Kubernetes, *format));
    let texts = |wanted| files.iter().zip(&sources).filter(move |(_, (_, f))| *f == wanted).map(|(file, _)| file);
    for (format, documents) in &parsed {
        match format {
            Format::Mermaid => mermaid::read(&texts(Format::Mermaid).collect::<Vec<_>>(), &mut draft)?,
            Format::Compose => compose::read(documents, &mut draft)?,
            Format::Kubernetes => kubernetes::read(documents, &mut draft)?,
            Format::Terraform => terraform::read(documents, &mut draft)?,
            Format::Threagile => threagile::read(documents, &mut draft)?,
            Format::Otm => otm::read(documents, &mut draft)?,
        }
    }
    let names: Vec<String> = files.iter().map(|f| f.name.clone()).collect();
    if let Some(name) = common(&names).and_then(title).or_else(|| names.iter().find_map(|name| title(name))) {
        draft.title(name);
    }
    if draft.count() > draft::NOUNS_MAX {
        return Err(ImportError::TooMany(draft.count(), "nouns"));
    }
    // Flows are joined later, and counted again.
    for (kind, what) in [(Kind::Zone, "zones"), (Kind::Data, "data"), (Kind::Node, "nodes"), (Kind::Flow, "flows")] {
        if draft.all(kind).len() > NOUNS_MAX {
            return Err(ImportError::TooMany(draft.all(kind).len(), what));
        }
    }
    let written = draft.write(&names);
    for (count, what) in written.nouns.into_iter().zip(["zones", "data", "nodes", "flows"]) {
        if count > NOUNS_MAX {
            return Err(ImportError::TooMany(count, what));
        }
    }
    if written.text.len() > FILE_BYTES_MAX {
        return Err(ImportError::TooLong(written.text.len()));
    }
    if written.nouns[2] == 0 {
        let told: Vec<String> =
            written.left_out.iter().take(3).map(|l| format!("{}: {} ({})", l.place, l.what, l.why)).collect();
        let why = format!("{} has no node and no flow", names.join(", "));
        return Err(ImportError::Nothing(if told.is_empty() {
            why
        } else {
            format!("{why}; left out: {}", told.join("; "))
        }));
    }
    let loaded = model::load(&[SourceFile { name: "ward.yaml".to_owned(), text: written.text.clone() }]);
    if let Some(error) = loaded.diagnostics.iter().find(|d| d.severity == Severity::Error) {
        return Err(ImportError::Refuses(format!("{} at {}", error.message, error.path)));
    }
    Ok(Imported { written, sources, warnings: loaded.diagnostics })
}

/// The directory that several files are in.
fn common(names: &[String]) -> Option<&str> {
    let directory = |name: &'_ str| name.rfind('/').map(|at| at + 1);
    let (first, others) = names.split_first().filter(|(_, others)| !others.is_empty())?;
    let start = first.get(..directory(first)?)?;
    others.iter().all(|name| name.starts_with(start)).then(|| start.trim_end_matches('/'))
}

/// What a file's name says of the system: `shop` of `shop/docker-compose.yml` and of `docs/shop.md`.
fn title(name: &str) -> Option<&str> {
    const COMMON: [&str; 17] = [
        "docker-compose",
        "compose",
        "readme",
        "main",
        "plan",
        "state",
        "terraform",
        "threagile",
        "model",
        "architecture",
        "diagram",
        "index",
        "standard input",
        "deployment",
        "all",
        "ward",
        "manifest",
    ];
    let said = |part: &str| {
        let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
        !stem.is_empty() && stem.chars().any(|c| c.is_ascii_alphabetic()) && !COMMON.contains(&stem.as_str())
    };
    let mut parts = name.rsplit('/');
    let file = parts.next().filter(|p| said(p)).and_then(|p| p.split('.').next());
    file.or_else(|| parts.next().filter(|p| said(p)))
}

fn read(file: &SourceFile, wanted: Option<Format>) -> Result<(Format, Vec<Document<'_>>), ImportError> {
    let known = wanted.or_else(|| mermaid::is_one(file).then_some(Format::Mermaid));
    if known == Some(Format::Mermaid) {
        return Ok((Format::Mermaid, Vec::new()));
    }
    // A text for people may look like YAML in parts, and is none.
    if wanted.is_none() && mermaid::is_markdown(&file.name) {
        return Err(ImportError::Unknown(file.name.clone()));
    }
    if wanted.is_none_or(|w| w == Format::Terraform)
        && let Some(line) = terraform::source_line(&file.name, &file.text)
    {
        return Err(ImportError::Refused { place: place(&file.name, line), why: terraform::SOURCE.to_owned() });
    }
    let broken = |error: TreeError| match kubernetes::template_line(&file.text) {
        Some(line) => ImportError::Refused { place: place(&file.name, line), why: kubernetes::TEMPLATE.to_owned() },
        None => ImportError::Broken { file: file.name.clone(), error },
    };
    // Lines are counted with those that are empty before the start.
    let start = file.text.trim_start_matches('\u{feff}');
    let trees = match start.trim_start().as_bytes().first() {
        Some(b'{' | b'[') => match Tree::json(start) {
            Ok(tree) => vec![tree],
            // A flow mapping of YAML begins so too.
            Err(error) if file.name.ends_with(".json") => return Err(broken(error)),
            Err(error) => Tree::yaml(&file.text).map_err(|_| broken(error))?,
        },
        _ => match Tree::yaml(&file.text) {
            Ok(trees) => trees,
            Err(_) if wanted.is_none() && !looks_like_yaml(&file.text) => {
                return Err(ImportError::Unknown(file.name.clone()));
            }
            Err(error) => return Err(broken(error)),
        },
    };
    // Some templates happen to be YAML; what they make is not what they say.
    if let Some(line) = kubernetes::template_line(&file.text).filter(|_| file.text.contains("{{ .Values.")) {
        return Err(ImportError::Refused { place: place(&file.name, line), why: kubernetes::TEMPLATE.to_owned() });
    }
    let found = known.or_else(|| trees.iter().find_map(looks_like));
    let format = found.ok_or_else(|| ImportError::Unknown(file.name.clone()))?;
    Ok((format, trees.into_iter().map(|tree| Document { file: &file.name, tree }).collect()))
}

/// Whether the mistake is worth telling as one of YAML.
fn looks_like_yaml(text: &str) -> bool {
    text.lines()
        .any(|l| ["apiVersion:", "services:", "threagile_version:", "otmVersion:"].iter().any(|w| l.starts_with(w)))
}

fn looks_like(tree: &Tree) -> Option<Format> {
    let has = |key| tree.entries().iter().any(|(k, _)| k == key);
    if has("threagile_version") || has("technical_assets") {
        Some(Format::Threagile)
    } else if has("otmVersion") {
        Some(Format::Otm)
    } else if has("planned_values") || has("resource_changes") || has("terraform_version") {
        Some(Format::Terraform)
    } else if has("apiVersion") && has("kind") {
        Some(Format::Kubernetes)
    } else if has("services") {
        Some(Format::Compose)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
