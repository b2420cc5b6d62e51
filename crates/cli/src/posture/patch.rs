//! A mend as a patch of the YAML, in the form that `git apply` and `patch -p1` read.
use model::load::text::Text;
use posture::Finding;
use serde_json::Value;
use similar::TextDiff;

/// Most text that is read anew to prove the patches of one report: each change costs as much as the model is long. The
/// worst findings come first; `ward posture fix` makes the patch of any.
const PROOF_BYTES_MAX: usize = 16 << 20;

/// Writes the patches of one report, as long as there is something left for it.
pub(super) struct Patches<'t> {
    text: &'t Text,
    /// How many changes may still be proved.
    pub(super) left: usize,
}

impl<'t> Patches<'t> {
    pub(super) fn new(text: &'t Text) -> Self {
        let bytes: usize = text.files().iter().map(|f| f.text.len()).sum();
        Self { text, left: (PROOF_BYTES_MAX / bytes.max(1)).max(1) }
    }

    /// The patch that mends a finding. A layout that only a person should change has none; the words say what to do.
    pub(super) fn of(&mut self, finding: &Finding) -> Option<String> {
        let changes = &finding.fix.changes;
        if changes.is_empty() {
            return None;
        }
        self.left = self.left.checked_sub(changes.len())?;
        Some(unified(self.text, &self.text.changed(changes).ok()?))
    }
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
    let mut patches = Patches::new(text);
    let mut all = Vec::with_capacity(findings.len());
    for finding in findings {
        let mut value = serde_json::to_value(finding)?;
        let fix = value.pointer_mut("/fix").and_then(Value::as_object_mut);
        if let (Some(patch), Some(fix)) = (patches.of(finding), fix) {
            fix.insert("patch".to_owned(), patch.into());
        }
        all.push(value);
    }
    Ok(all)
}
