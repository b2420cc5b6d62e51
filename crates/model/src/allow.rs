//! `allow` entries: `METHOD[,METHOD] PATH`, and the path patterns they share with Istio (`{*}`, `{**}`).

/// One `allow` entry: the methods and the path it lets through (DESIGN §2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllowEntry {
    /// As written, e.g. `GET /orders/{*}`.
    pub text: String,
    /// Upper-case methods; empty is any. GET already implies HEAD here: both are listed.
    pub methods: Vec<String>,
    /// The path pattern.
    pub path: PathPattern,
}

/// A path pattern. Invariant: starts with `/`, `{**}` only as the last segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// Its segments after the leading slash; `/` is one empty literal.
    pub segments: Vec<Segment>,
}

/// One segment of a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Must be equal, case-sensitive.
    Literal(String),
    /// `{*}`: one non-empty segment.
    Any,
    /// `{**}`: zero or more characters including `/`; last only. `/t/{**}` matches `/t/` and not `/t`.
    Rest,
}
