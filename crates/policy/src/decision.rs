//! The answer: allow or deny, by which rule, for which reason out of a closed set.
use std::fmt;

use serde::{Deserialize, Serialize};

/// A rule of a `RuleSet`: indexes that only that set can turn into names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRef {
    /// Which policy, in the set's own order (by namespace and name).
    pub policy: u32,
    /// Which rule of it, from 0, as written.
    pub rule: u32,
}

/// May it be done?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allow(Allow),
    /// No.
    Deny(Deny),
}

/// Why yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The rule that allows; `None` when no ALLOW policy selects the workload (Istio's meaning of "no policy").
    pub rule: Option<RuleRef>,
}

/// Why no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deny {
    /// What kind of refusal.
    pub reason: Reason,
    /// The rule that denies; `None` when nothing allowed it.
    pub rule: Option<RuleRef>,
}

/// Why a decision came out as it did: a closed set, safe as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A rule of an ALLOW policy matched.
    Allowed,
    /// No ALLOW policy selects the workload, and no other policy denied.
    NoPolicy,
    /// A rule of a DENY policy matched.
    DeniedByPolicy,
    /// A rule of a DENY or CUSTOM policy asks for HTTP fields that a TCP connection does not show; it is denied.
    HttpRuleOnTcp,
    /// A rule of a CUSTOM policy matched, and its provider cannot be asked.
    NoProvider,
    /// ALLOW policies select the workload and none of their rules matched.
    NoRuleMatched,
    /// ALLOW policies select the workload and hold no rule at all.
    NothingAllowed,
}

impl Reason {
    /// Every reason, in the order of the table in docs/policy.md.
    pub const ALL: [Reason; 7] = [
        Self::Allowed,
        Self::NoPolicy,
        Self::DeniedByPolicy,
        Self::HttpRuleOnTcp,
        Self::NoProvider,
        Self::NoRuleMatched,
        Self::NothingAllowed,
    ];

    /// The code: what records, metrics and JSON carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::NoPolicy => "no-policy",
            Self::DeniedByPolicy => "denied-by-policy",
            Self::HttpRuleOnTcp => "http-rule-on-tcp",
            Self::NoProvider => "no-provider",
            Self::NoRuleMatched => "no-rule-matched",
            Self::NothingAllowed => "nothing-allowed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Decision {
    /// Whether the request may pass.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Allow(Allow { rule: Some(_) }) => Reason::Allowed,
            Self::Allow(Allow { rule: None }) => Reason::NoPolicy,
            Self::Deny(deny) => deny.reason,
        }
    }

    /// The deciding rule, when one decided.
    pub fn rule(&self) -> Option<RuleRef> {
        match self {
            Self::Allow(allow) => allow.rule,
            Self::Deny(deny) => deny.rule,
        }
    }
}
