//! Names: whatever others call things, as DNS labels, each once.
use std::collections::{HashMap, HashSet};

use super::Kind;

const LABEL_MAX: usize = 63;
/// What `ward check` refuses as the name of a node or zone, because Ward's own identities have it.
const RESERVED: [&str; 3] = ["ward-control", "ward-probe", "ward-system"];

/// A text as a DNS label: letters in lower case, runs of anything else one hyphen; the other text where nothing is left.
pub(super) fn label(text: &str, otherwise: &str) -> String {
    let mut label = String::new();
    let mut small = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // `orderService` is `order-service`; `URL` and `MongoDB` stay one word.
        if c.is_ascii_uppercase() && small && chars.peek().is_some_and(char::is_ascii_lowercase) {
            label.push('-');
        }
        if label.len() > LABEL_MAX {
            break;
        }
        small = c.is_ascii_lowercase() || c.is_ascii_digit();
        if let Some(folded) = fold(c) {
            label.push_str(folded);
        } else if c.is_ascii_alphanumeric() {
            label.push(c.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    label.truncate(LABEL_MAX);
    let label = label.trim_matches('-');
    if label.is_empty() { otherwise.to_owned() } else { label.to_owned() }
}

/// A letter with a mark as the letters that one writes without.
fn fold(c: char) -> Option<&'static str> {
    const FOLDED: [(&str, &str); 16] = [
        ("àáâãåāăąÀÁÂÃÅ", "a"),
        ("çćčÇĆČ", "c"),
        ("ďđĎĐ", "d"),
        ("èéêëēęěÈÉÊËĘĚ", "e"),
        ("ìíîïīıÌÍÎÏİ", "i"),
        ("łľŁ", "l"),
        ("ñńňÑŃŇ", "n"),
        ("òóôõøōőÒÓÔÕØŐ", "o"),
        ("řŘ", "r"),
        ("śšşŚŠŞ", "s"),
        ("ťţŤŢ", "t"),
        ("ùúûūůűÙÚÛŮŰ", "u"),
        ("ýÿÝ", "y"),
        ("źżžŹŻŽ", "z"),
        ("äÄæÆ", "ae"),
        ("öÖœŒ", "oe"),
    ];
    match c {
        'ü' | 'Ü' => Some("ue"),
        'ß' => Some("ss"),
        _ if c.is_ascii() => None,
        _ => FOLDED.iter().find(|(from, _)| from.contains(c)).map(|(_, to)| *to),
    }
}

/// The names that are taken.
#[derive(Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// The next number to try behind a name, so that ten thousand nouns of one name are not tried ten thousand times each.
    next: HashMap<String, usize>,
}

impl Names {
    /// A name for a noun that no other one has: a word for its kind behind it, then a number.
    pub(super) fn free(&mut self, wanted: &str, kind: Kind) -> String {
        let word = match kind {
            Kind::Zone => "zone",
            Kind::Data => "data",
            Kind::Node => "node",
            Kind::Flow => "flow",
        };
        let first = label(wanted, word);
        if self.take(&first) {
            return first;
        }
        let with = |end: &str| {
            let room = LABEL_MAX.saturating_sub(end.len() + 1);
            let head: String = first.chars().take(room).collect();
            format!("{}-{end}", head.trim_end_matches('-'))
        };
        // A flow is seldom the first that is called so, and `call-2` reads better than `call-flow`.
        let second = with(word);
        if kind != Kind::Flow && self.take(&second) {
            return second;
        }
        loop {
            let number = self.next.entry(first.clone()).or_insert(2);
            let name = with(&number.to_string());
            *number += 1;
            if self.take(&name) {
                return name;
            }
        }
    }

    fn take(&mut self, name: &str) -> bool {
        !RESERVED.contains(&name) && self.taken.insert(name.to_owned())
    }
}
