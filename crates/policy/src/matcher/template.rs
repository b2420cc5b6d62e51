//! Path templates: `{*}` is one segment, `{**}` any number of characters.

/// A path with `{*}` and at most one `{**}`, which comes after every `{*}` (Envoy's uri_template).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) head: Box<[Segment]>,
    /// What must follow `{**}`, with its leading slash; `None` without `{**}`.
    pub(crate) tail: Option<Box<str>>,
    /// Whether wildcards stand for the characters of Envoy's matcher only.
    pub(crate) narrow: bool,
}

/// What stands between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// The text.
    Literal(Box<str>),
    /// `{*}`.
    Any,
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TemplateFault {
    /// No leading slash.
    NotAbsolute,
    /// Braces or stars other than whole `{*}` and `{**}` segments.
    Operator,
    /// An operator after `{**}`.
    AfterRest,
}

impl Template {
    /// Reads a template; `literal` gives each literal part its canonical spelling.
    pub(crate) fn parse(text: &str, literal: impl Fn(&str) -> String) -> Result<Self, TemplateFault> {
        let mut rest = text.strip_prefix('/').ok_or(TemplateFault::NotAbsolute)?;
        let mut head = Vec::new();
        loop {
            let (segment, more) = match rest.split_once('/') {
                Some((segment, more)) => (segment, Some(more)),
                None => (rest, None),
            };
            match segment {
                "{*}" => head.push(Segment::Any),
                "{**}" => {
                    let tail = rest.get("{**}".len()..).unwrap_or_default();
                    return if tail.contains("{*}") || tail.contains("{**}") {
                        Err(TemplateFault::AfterRest)
                    } else if tail.contains(['{', '}', '*']) {
                        Err(TemplateFault::Operator)
                    } else {
                        Ok(Self { head: head.into(), tail: Some(literal(tail).into()), narrow: false })
                    };
                }
                _ if segment.contains(['{', '}', '*']) => return Err(TemplateFault::Operator),
                _ => head.push(Segment::Literal(literal(segment).into())),
            }
            match more {
                Some(more) => rest = more,
                None => return Ok(Self { head: head.into(), tail: None, narrow: false }),
            }
        }
    }

    /// The same with a slash at the end; `None` when it has one, or ends in `{**}`, which takes it.
    pub(crate) fn with_slash(&self) -> Option<Self> {
        let mut head = self.head.to_vec();
        let tail = match &self.tail {
            Some(tail) if tail.is_empty() || tail.ends_with('/') => return None,
            Some(tail) => Some(format!("{tail}/").into()),
            None if head.last() == Some(&Segment::Literal("".into())) => return None,
            None => {
                head.push(Segment::Literal("".into()));
                None
            }
        };
        Some(Self { head: head.into(), tail, narrow: self.narrow })
    }

    /// The same, with wildcards that stand for the characters of Envoy's matcher only: what may stand in a path
    /// unescaped (RFC 3986 `pchar`) and `%`.
    pub(crate) fn narrow(self) -> Self {
        Self { narrow: true, ..self }
    }

    fn wild(&self, text: &str) -> bool {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=*/".contains(&b);
        !self.narrow || text.bytes().all(known)
    }

    /// Whether a normalized path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let Some(mut rest) = path.strip_prefix('/') else { return false };
        let mut segments = self.head.iter().peekable();
        while let Some(segment) = segments.next() {
            let (found, more) = match rest.split_once('/') {
                Some((found, more)) => (found, Some(more)),
                None => (rest, None),
            };
            let same = match segment {
                Segment::Literal(literal) => **literal == *found,
                Segment::Any => !found.is_empty() && self.wild(found),
            };
            let last = segments.peek().is_none() && self.tail.is_none();
            match more {
                _ if !same => return false,
                None => return last,
                Some(_) if last => return false,
                Some(more) => rest = more,
            }
        }
        let rest = self.tail.as_deref().and_then(|tail| rest.strip_suffix(tail));
        rest.is_some_and(|rest| self.wild(rest))
    }
}
