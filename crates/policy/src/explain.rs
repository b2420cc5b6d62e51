//! Why a request was allowed or denied, as data and in words. Computed from facts, off the hot path.
use std::fmt;

use model::{Audit, istio::Action};
use serde::{Deserialize, Serialize};

use crate::{Protocol, Reason};

/// The answer to "why": the deciding rule, or the rule that came nearest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whether the request may pass.
    pub allowed: bool,
    /// Why, from the closed set.
    pub reason: Reason,
    /// The facts it was decided from.
    pub request: RequestReport,
    /// The rule that allowed or denied; absent when none did.
    pub rule: Option<RuleReport>,
    /// When nothing allowed it: of all ALLOW rules the one with the fewest failing fields.
    pub nearest: Option<RuleReport>,
    /// How many ALLOW rules there are.
    pub allow_rules: usize,
}

/// The facts of a request, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestReport {
    /// SPIFFE URI of the peer.
    pub principal: Option<String>,
    /// Method; empty for TCP.
    pub method: String,
    /// Normalized path; empty for TCP.
    pub path: String,
    /// Host as received.
    pub host: String,
    /// Port of the workload.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// One rule held against one request, field by field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// `<namespace>/<name>` of the policy.
    pub policy: String,
    /// Rule of it, from 0.
    pub rule: u32,
    /// What the policy does.
    pub action: Action,
    /// The flow it was compiled from.
    pub flow: Option<String>,
    /// Audit level of that flow.
    #[serde(with = "audit_word")]
    pub audit: Audit,
    /// Each field the rule asks for: of several `from` and `to` entries the nearest one.
    pub fields: Vec<FieldReport>,
}

/// One field of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldReport {
    /// The field as the policy writes it: `principals`, `notPaths`, `request.headers[x-team]`.
    pub field: String,
    /// Whether the request satisfies it.
    pub ok: bool,
    /// Whether the request must have none of `wanted` rather than one of them.
    pub negated: bool,
    /// The values in the policy.
    pub wanted: Vec<String>,
    /// The request's value; absent when it has none.
    pub got: Option<String>,
}

/// `Audit` as the word people write.
mod audit_word {
    use model::Audit;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(audit: &Audit, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(crate::rules::audit_as_str(*audit))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Audit, D::Error> {
        let word = String::deserialize(input)?;
        crate::rules::audit_from_str(&word).ok_or_else(|| D::Error::custom(format!("`{word}` is not an audit level")))
    }
}

impl Explanation {
    /// One or more lines for people, without a final line break.
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)
    }
}
