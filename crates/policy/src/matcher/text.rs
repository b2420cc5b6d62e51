//! Istio's string forms.
/// Istio's string forms: exact, `prefix*`, `*suffix`, `*` for anything but nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// The whole value.
    Exact(Box<str>),
    /// How it starts.
    Prefix(Box<str>),
    /// How it ends.
    Suffix(Box<str>),
    /// Not empty.
    Present,
}

impl Text {
    /// Reads a value; a `*` elsewhere than at one end is literal.
    pub(crate) fn parse(value: &str) -> Self {
        match (value, value.strip_prefix('*'), value.strip_suffix('*')) {
            ("*", _, _) => Self::Present,
            (_, Some(suffix), _) => Self::Suffix(suffix.into()),
            (_, None, Some(prefix)) => Self::Prefix(prefix.into()),
            (exact, None, None) => Self::Exact(exact.into()),
        }
    }

    /// The text without its wildcard.
    pub(crate) fn literal(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) => text,
            Self::Present => "",
        }
    }

    /// The same form with another text.
    pub(crate) fn map(&self, change: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Exact(text) => Self::Exact(change(text).into()),
            Self::Prefix(text) => Self::Prefix(change(text).into()),
            Self::Suffix(text) => Self::Suffix(change(text).into()),
            Self::Present => Self::Present,
        }
    }

    pub(crate) fn matches(&self, value: &str) -> bool {
        self.matches_bytes(value.as_bytes())
    }

    pub(super) fn matches_bytes(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::Present => !value.is_empty(),
        }
    }

    pub(super) fn matches_ignoring_case(&self, value: &str) -> bool {
        let value = value.as_bytes();
        match self {
            Self::Exact(text) => value.eq_ignore_ascii_case(text.as_bytes()),
            Self::Prefix(text) => {
                value.get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text.as_bytes()))
            }
            Self::Suffix(text) => value
                .len()
                .checked_sub(text.len())
                .and_then(|at| value.get(at..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(text.as_bytes())),
            Self::Present => !value.is_empty(),
        }
    }
}
