//! Every word that promises something, who keeps the promise, and whether it is kept today ("no silent words", DESIGN
//! §2). `load` warns from this table and `ward nodes` shows it; a word becomes enforced by changing its line here.
use std::fmt;

use serde::Serialize;

/// Where a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A field of `via`.
    Via,
    /// A value of `via.audit`.
    Audit,
    /// A value of a node's `guards`.
    Guards,
    /// A value of a node's `at_rest`.
    AtRest,
    /// A party's `auth`.
    PartyAuth,
    /// A field of a node, or one of its values.
    Node,
    /// A field of `mesh`.
    Mesh,
    /// A section of the model.
    Section,
}

/// Who keeps a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// The policy engine, in the proxy.
    Policy,
    /// The proxy's data path.
    Proxy,
    /// The web application firewall.
    Waf,
    /// The control plane.
    Control,
    /// Nobody inside Ward: it describes what others do.
    Outside,
}

/// Whether a word is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Kept, between nodes under Ward.
    Enforced,
    /// Read and checked, and nothing follows from it yet.
    NotYet,
    /// Describes what Ward cannot enforce.
    Described,
}

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Word {
    /// Where it stands.
    pub place: Place,
    /// As written.
    pub word: &'static str,
    /// Who keeps it.
    pub owner: Owner,
    /// Whether it is kept.
    pub state: State,
    /// What happens today instead; empty when it is kept.
    pub today: &'static str,
}

const fn word(place: Place, word: &'static str, owner: Owner, state: State, today: &'static str) -> Word {
    Word { place, word, owner, state, today }
}

/// The table.
pub static WORDS: &[Word] = {
    use Owner::{Control, Outside, Policy, Proxy, Waf};
    use Place::{AtRest, Audit, Guards, Mesh, Node, PartyAuth, Section, Via};
    use State::{Described, Enforced, NotYet};
    &[
        word(Via, "allow", Policy, Enforced, ""),
        word(Via, "port", Policy, Enforced, ""),
        word(Via, "audit", Proxy, Enforced, ""),
        word(Via, "timeout", Proxy, Enforced, ""),
        word(Via, "rewrite", Proxy, Enforced, ""),
        word(Via, "mtls", Proxy, Enforced, ""),
        word(Via, "limit", Proxy, NotYet, "requests are not counted against it"),
        word(Via, "jwt", Policy, Enforced, ""),
        word(Via, "cors", Proxy, NotYet, "preflight requests need an `allow` entry of their own"),
        word(Via, "transform", Proxy, NotYet, "data passes unchanged"),
        word(Via, "region", Proxy, NotYet, "traffic is not kept in the region"),
        word(Via, "auth", Outside, Described, "the application itself must ask for it"),
        word(Via, "tls", Outside, Described, "traffic between nodes under Ward is mutual TLS 1.3 whatever it says"),
        word(Via, "ssh", Outside, Described, "traffic between nodes under Ward is mutual TLS 1.3 whatever it says"),
        word(Via, "local", Outside, Described, "traffic between nodes under Ward is mutual TLS 1.3 whatever it says"),
        word(Audit, "low", Proxy, Enforced, ""),
        word(Audit, "medium", Proxy, Enforced, ""),
        word(Audit, "high", Proxy, Enforced, ""),
        word(Audit, "strict", Proxy, Enforced, ""),
        word(Audit, "critical", Proxy, Enforced, ""),
        word(Guards, "waf", Waf, NotYet, "requests are not inspected"),
        word(Guards, "rate", Proxy, NotYet, "callers are not limited"),
        word(Guards, "oidc", Proxy, NotYet, "nobody is asked to log in"),
        word(Guards, "mfa", Proxy, NotYet, "nobody is asked for a second factor"),
        word(AtRest, "volume", Outside, Described, "the volume must be encrypted by whoever runs the store"),
        word(AtRest, "kms", Outside, Described, "the key service must be set up by whoever runs the store"),
        word(AtRest, "encoding", Outside, Described, "encoding is not encryption"),
        word(AtRest, "none", Outside, Described, ""),
        word(PartyAuth, "mtls", Control, NotYet, "parties are not issued SVIDs, so its flows are refused"),
        word(PartyAuth, "jwt", Policy, Enforced, ""),
        word(PartyAuth, "oidc", Policy, Enforced, ""),
        word(Node, "role: egress", Proxy, NotYet, "no proxy sends to the outside for it"),
        word(Node, "attest", Control, NotYet, "the node joins with a token, whatever it attests"),
        word(Node, "mode", Proxy, Enforced, ""),
        word(Mesh, "mode: dry-run", Proxy, Enforced, ""),
        word(Mesh, "compat", Policy, Enforced, ""),
        word(Mesh, "federates_with", Control, NotYet, "other trust domains are refused"),
        word(Mesh, "issuers", Policy, Enforced, ""),
        word(Mesh, "providers", Policy, NotYet, "no external decision is asked for"),
        word(Mesh, "telemetry", Proxy, NotYet, "metrics and logs have their defaults"),
        word(Mesh, "tls.suites", Proxy, NotYet, "the default suites are offered"),
        word(Mesh, "tls.groups", Proxy, NotYet, "the default groups are offered"),
        word(Section, "emergencies", Control, NotYet, "none can be opened, so standby flows stay closed"),
        word(Section, "invariants", Control, NotYet, "they are not proved"),
    ]
};

/// The entry of a word.
pub fn find(place: Place, word: &str) -> Option<&'static Word> {
    WORDS.iter().find(|w| w.place == place && w.word == word)
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::Proxy => "proxy",
            Self::Waf => "waf",
            Self::Control => "control",
            Self::Outside => "outside",
        })
    }
}
