//! "Why not": everything that stands in a request's way, and the rules that come nearest to letting it pass.
use serde::{Deserialize, Serialize};

use super::{RequestReport, RuleReport};
use crate::{Reason, Request, RuleSet, matcher::Facts, rules::Rule};

/// Nearest misses that are told.
pub const NEAREST_MAX: usize = 3;
/// Refusing rules that are told; `WhyNot::refusing_rules` says how many there are.
pub const REFUSING_MAX: usize = 10;

/// What would have to differ for a request to pass: no rule may refuse it, and one must allow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyNot {
    /// Whether it passes as it is.
    pub allowed: bool,
    /// Why, from the closed set.
    pub reason: Reason,
    /// The facts.
    pub request: RequestReport,
    /// Rules of CUSTOM and DENY policies that match, the deciding one first: none of them may.
    pub refusing: Vec<RuleReport>,
    /// How many these are; beyond `REFUSING_MAX` they are only counted.
    pub refusing_rules: usize,
    /// The ALLOW rule that matches. Beside a refusing one it is what would let the request pass alone.
    pub allowing: Option<RuleReport>,
    /// Where no ALLOW rule matches: those with the fewest failing fields, nearest first. One of them would have to match
    /// whole.
    pub nearest: Vec<RuleReport>,
    /// How many ALLOW rules there are.
    pub allow_rules: usize,
}

impl WhyNot {
    /// Whether an ALLOW rule must change too, once nothing refuses.
    pub fn lacks_allow(&self) -> bool {
        self.allowing.is_none() && (self.allow_rules > 0 || self.reason == Reason::NothingAllowed)
    }
}

impl RuleSet {
    /// What would have to differ for this request to pass. Reads every rule, off the hot path.
    pub fn why_not(&self, request: &Request) -> WhyNot {
        let facts = Facts::new(request);
        let decision = self.decide_on(&facts);
        let deciding = decision.rule();
        let phases = [&self.custom, &self.deny].into_iter().flat_map(|phase| &phase.rules);
        let mut refusing: Vec<&Rule> = phases.filter(|rule| rule.matches(&facts)).collect();
        // CUSTOM before DENY, as written; the one that the proxy names comes first.
        refusing.sort_by_key(|rule| Some(rule.at) != deciding);
        let allowing = self.allow.rules.iter().find(|rule| rule.matches(&facts));
        let nearest = match allowing {
            Some(_) => Vec::new(),
            None => self.nearest(&facts, NEAREST_MAX),
        };
        WhyNot {
            allowed: decision.is_allowed(),
            reason: decision.reason(),
            request: RequestReport::of(request),
            refusing_rules: refusing.len(),
            refusing: refusing.into_iter().take(REFUSING_MAX).map(|rule| self.report(rule, &facts)).collect(),
            allowing: allowing.map(|rule| self.report(rule, &facts)),
            nearest: nearest.into_iter().map(|rule| self.report(rule, &facts)).collect(),
            allow_rules: self.allow.rules.len(),
        }
    }
}

#[cfg(test)]
mod tests;
