//! `ward check`: everything that is wrong with a model, at once.
use std::{path::PathBuf, process::ExitCode};

use model::{Diagnostic, Model, Severity, SourceFile};
use serde::Serialize;

use crate::{
    diagnostics, model_dir,
    output::{self, Output},
    progress::during,
};

/// Check a model and print everything that is wrong with it
///
/// All mistakes are listed at once, each with its place and what to do about it. Warnings name what the model declares
/// and nothing enforces yet.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ward check examples/shop\n  ward check -o json . | jq '.diagnostics[].message'\n\n\
Exit codes: 0 no errors, 1 errors found, 2 the directory cannot be read"
)]
pub(crate) struct Args {
    /// The directory that holds ward.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    output: Output,
}

/// What `-o json` prints.
#[derive(Serialize)]
struct Checked<'a> {
    errors: usize,
    warnings: usize,
    diagnostics: &'a [Diagnostic],
}

/// Runs it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let files = model_dir::read(&args.dir)?;
    let loaded = during("reading the model", || {
        let mut loaded = model::load(&files);
        if let Some(model) = &loaded.model {
            loaded.diagnostics.extend(policy_faults(&files, model));
            loaded.diagnostics.extend(key_faults(&files, model));
        }
        loaded
    });
    let (errors, warnings) = (loaded.errors(), loaded.warnings());
    if args.output.is_json() {
        output::print_json(&Checked { errors, warnings, diagnostics: &loaded.diagnostics })?;
    } else {
        output::print(&diagnostics::render(&files, &loaded.diagnostics))?;
    }
    let refused = errors > 0 || args.strict && warnings > 0;
    Ok(if refused { ExitCode::from(output::FINDINGS) } else { ExitCode::SUCCESS })
}

/// What the policy engine says of the policies beside the model, when they are compiled as the proxies compile them.
fn policy_faults(files: &[SourceFile], model: &Model) -> Vec<Diagnostic> {
    let (severity, faults) = match policy::flows::check(model) {
        Ok(warnings) => (Severity::Warning, warnings),
        Err(errors) => (Severity::Error, errors),
    };
    let place = |fault: policy::CompileError| {
        model::policy_diagnostic(files, severity, (&fault.policy, &fault.field), fault.message, fault.help)
    };
    faults.into_iter().map(place).collect()
}

/// Keys that are written out and cannot check a signature: the control plane would refuse the model for them.
fn key_faults(files: &[SourceFile], model: &Model) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for document in policy::authentications(model) {
        let name = format!("{}/{}", document.metadata.namespace, document.metadata.name);
        for (i, rule) in document.spec.jwt_rules.iter().enumerate() {
            let Some(Err(error)) = rule.jwks.as_deref().map(identity::token::KeySet::parse) else { continue };
            let field = format!("spec.jwtRules[{i}].jwks");
            let help = Some("write the issuer's public keys (RFC 7517)".to_owned());
            let fault = model::policy_diagnostic(files, Severity::Error, (&name, &field), error.to_string(), help);
            if !found.contains(&fault) {
                found.push(fault);
            }
        }
    }
    found
}
