//! Whose reading of policies and requests holds.
use std::borrow::Cow;

use crate::path::{PathFault, normalize_base, normalize_path};

/// Chosen when a rule set is compiled; a decision does not ask for it again. docs/policy.md lists every difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Semantics {
    /// Ward's own: one spelling for each path, hosts without port, lists in headers; doubt never allows.
    #[default]
    Ward,
    /// What Istio and Envoy do with their default settings, to the letter.
    Istio,
}

impl Semantics {
    /// The path of a request as policies compare it.
    ///
    /// # Errors
    /// The request is answered with 400 instead.
    pub fn normalize(self, path: &str) -> Result<Cow<'_, str>, PathFault> {
        match self {
            Self::Ward => normalize_path(path),
            Self::Istio => normalize_base(path),
        }
    }
}
