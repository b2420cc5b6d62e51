//! A mend as a patch of the YAML, in the form that `git apply` and `patch -p1` read.
use model::load::text::Text;
use posture::Finding;
use serde_json::Value;
use similar::TextDiff;

/// Most text that is read anew to prove the patches of one report: each costs as much as the model is long. The worst
/// findings come first; `ward posture fix` makes the patch of any.
const PROOF_BYTES_MAX: usize = 8 << 20;

/// How many findings of a report have their patch.
pub(super) fn patched(text: &Text) -> usize {
    let bytes: usize = text.files().iter().map(|f| f.text.len()).sum();
    PROOF_BYTES_MAX / bytes.max(1)
}

/// What differs between two texts of one model, as a unified diff.
pub(crate) fn unified(before: &Text, after: &Text) -> String {
    let mut out = String::new();
    for (old, new) in before.files().iter().zip(after.files()).filter(|(old, new)| old.text != new.text) {
        let diff = TextDiff::from_lines(&old.text, &new.text);
        let (from, to) = (format!("a/{}", old.name), format!("b/{}", new.name));
        out += &diff.unified_diff().context_radius(3).header(&from, &to).to_string();
    }
    out
}

/// The findings as JSON, each with its patch where there is one.
pub(super) fn with_patches(text: &Text, findings: &[Finding]) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::with_capacity(findings.len());
    for (finding, number) in findings.iter().zip(0..) {
        let mut value = serde_json::to_value(finding)?;
        let after =
            (!finding.fix.changes.is_empty() && number < patched(text)).then(|| text.changed(&finding.fix.changes));
        // A layout that only a person should change has no patch; the words say what to do.
        if let (Some(Ok(after)), Some(fix)) = (after, value.pointer_mut("/fix").and_then(Value::as_object_mut)) {
            fix.insert("patch".to_owned(), unified(text, &after).into());
        }
        all.push(value);
    }
    Ok(all)
}
