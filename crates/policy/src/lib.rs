//! May this principal do this now? Compiles flows and AuthorizationPolicies to a rule set, decides requests by it, and
//! explains each answer. Pure: bytes and facts in, a value out; it never touches a socket, a file or the clock.
//!
//! Fails closed: a policy that is not understood refuses the whole set, a fact that is missing or ambiguous never
//! helps an ALLOW and never hinders a DENY.
pub mod ask;
mod authentication;
mod compile;
mod decision;
mod error;
mod explain;
pub mod flows;
pub mod gate;
mod matcher;
mod path;
pub mod reasons;
mod request;
mod rules;
mod scope;
mod semantics;
#[cfg(test)]
mod testing;

pub use authentication::{
    Admission, Authenticated, PeerRules, Place, RuleIndex, TOKENS_MAX, TokenHead, TokenRefusal, TokenRule, TokenRules,
    TokenVerifier,
};
pub use decision::{Allow, Decision, Deny, Reason, RuleRef};
pub use error::CompileError;
pub use explain::{Explanation, FieldReport, NEAREST_MAX, REFUSING_MAX, RequestReport, RuleReport, WhyNot};
pub use flows::{
    authentications, authentications_for, identity_of, policies_for, rule_set_as, rule_set_for, semantics_of,
    token_rules_for, workload_for,
};
pub use path::{PathFault, normalize_path};
pub use request::{Protocol, Request};
pub use rules::{RuleSet, Workload};
pub use scope::{selected, token_rules};
pub use semantics::Semantics;

pub use model::TokenFault;
