//! Names: whatever others call things, as DNS labels, each once.
use std::collections::HashSet;

use super::Kind;

const LABEL_MAX: usize = 63;

/// A text as a DNS label: letters in lower case, runs of anything else one hyphen; the other text where nothing is left.
pub(super) fn label(text: &str, otherwise: &str) -> String {
    let mut label = String::new();
    let mut small = false;
    for c in text.chars() {
        // `orderService` is `order-service`; `URL` stays one word.
        if c.is_ascii_uppercase() && small {
            label.push('-');
        }
        small = c.is_ascii_lowercase() || c.is_ascii_digit();
        if c.is_ascii_alphanumeric() {
            label.push(c.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    label.truncate(LABEL_MAX);
    let label = label.trim_matches('-');
    if label.is_empty() { otherwise.to_owned() } else { label.to_owned() }
}

/// A name for a noun that no other one has: a word for its kind behind it, then a number.
pub(super) fn free(wanted: &str, kind: Kind, taken: &HashSet<String>) -> String {
    let word = match kind {
        Kind::Zone => "zone",
        Kind::Data => "data",
        Kind::Node => "node",
        Kind::Flow => "flow",
    };
    let first = label(wanted, word);
    if !taken.contains(&first) {
        return first;
    }
    let with = |end: &str| {
        let room = LABEL_MAX.saturating_sub(end.len() + 1);
        let head: String = first.chars().take(room).collect();
        format!("{}-{end}", head.trim_end_matches('-'))
    };
    // A flow is seldom the first that is called so, and `call-2` reads better than `call-flow`.
    let second = if kind == Kind::Flow { with("2") } else { with(word) };
    if !taken.contains(&second) {
        return second;
    }
    // There are more numbers than names.
    (2_usize..).map(|n| with(&n.to_string())).find(|name| !taken.contains(name)).unwrap_or(second)
}
