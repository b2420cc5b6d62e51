//! Envoy's matchers (`envoy.type.matcher.v3` and what stands beside it), as far as policies need them.
use serde::Serialize;
use serde_json::{Value, json};

/// `StringMatcher`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StringMatcher {
    #[serde(flatten)]
    pattern: Pattern,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ignore_case: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Pattern {
    Exact(String),
    Prefix(String),
    Suffix(String),
    SafeRegex { regex: String },
}

impl StringMatcher {
    /// A whole value.
    pub(crate) fn exact(text: impl Into<String>) -> Self {
        Self { pattern: Pattern::Exact(text.into()), ignore_case: false }
    }

    /// How it starts.
    pub(crate) fn prefix(text: impl Into<String>) -> Self {
        Self { pattern: Pattern::Prefix(text.into()), ignore_case: false }
    }

    /// How it ends.
    pub(crate) fn suffix(text: impl Into<String>) -> Self {
        Self { pattern: Pattern::Suffix(text.into()), ignore_case: false }
    }

    /// The whole value, by RE2.
    pub(crate) fn regex(regex: impl Into<String>) -> Self {
        Self { pattern: Pattern::SafeRegex { regex: regex.into() }, ignore_case: false }
    }

    /// Anything but nothing.
    pub(crate) fn present() -> Self {
        Self::regex(".+")
    }

    /// The string forms of a policy: exact, `prefix*`, `*suffix`, `*`.
    pub(crate) fn form(value: &str) -> Self {
        match (value, value.strip_prefix('*'), value.strip_suffix('*')) {
            ("*", _, _) => Self::present(),
            (_, Some(suffix), _) => Self::suffix(suffix),
            (_, None, Some(prefix)) => Self::prefix(prefix),
            (exact, None, None) => Self::exact(exact),
        }
    }

    fn ignoring_case(self) -> Self {
        Self { ignore_case: true, ..self }
    }
}

/// A text with every character that RE2 gives a meaning to escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// `HeaderMatcher`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct HeaderMatcher {
    name: String,
    #[serde(flatten)]
    specifier: HeaderSpecifier,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum HeaderSpecifier {
    PresentMatch(bool),
    StringMatch(StringMatcher),
}

impl HeaderMatcher {
    /// A policy's value for a header; `*` is its presence, even if it is empty.
    pub(crate) fn form(name: &str, value: &str, ignore_case: bool) -> Self {
        let specifier = match StringMatcher::form(value) {
            _ if value == "*" => HeaderSpecifier::PresentMatch(true),
            text if ignore_case => HeaderSpecifier::StringMatch(text.ignoring_case()),
            text => HeaderSpecifier::StringMatch(text),
        };
        Self { name: name.to_owned(), specifier }
    }
}

/// `ValueMatcher`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) enum ValueMatcher {
    /// A text.
    #[serde(rename = "string_match")]
    Text(StringMatcher),
    /// A list with such a member.
    #[serde(rename = "list_match")]
    List { one_of: Box<ValueMatcher> },
    /// Any of these.
    #[serde(rename = "or_match")]
    Or { value_matchers: Vec<ValueMatcher> },
}

impl ValueMatcher {
    /// Any of the values of a policy.
    pub(crate) fn any_of(values: &[String]) -> Self {
        Self::or(values.iter().map(|value| Self::Text(StringMatcher::form(value))).collect())
    }

    /// One of these; one alone needs no list.
    pub(crate) fn or(mut matchers: Vec<Self>) -> Self {
        match matchers.pop() {
            Some(only) if matchers.is_empty() => only,
            last => Self::Or { value_matchers: matchers.into_iter().chain(last).collect() },
        }
    }

    /// The value, or a list that has it.
    pub(crate) fn or_listed(self) -> Self {
        Self::or(vec![Self::List { one_of: Box::new(self.clone()) }, self])
    }
}

/// `MetadataMatcher`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MetadataMatcher {
    filter: String,
    path: Vec<Segment>,
    value: ValueMatcher,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Segment {
    key: String,
}

impl MetadataMatcher {
    /// What a filter left at a path.
    pub(crate) fn new(filter: &str, path: impl IntoIterator<Item = String>, value: ValueMatcher) -> Self {
        Self { filter: filter.to_owned(), path: path.into_iter().map(|key| Segment { key }).collect(), value }
    }
}

/// `CidrRange`, an address alone is its own range.
pub(crate) fn cidr(value: &str) -> Option<Value> {
    let (address, bits) = match value.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (value, None),
    };
    let address: std::net::IpAddr = address.parse().ok()?;
    let bits = bits.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
    Some(json!({ "address_prefix": address, "prefix_len": bits }))
}
