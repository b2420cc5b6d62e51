//! Frameworks as data: what each control asks, in our own words, and what a person shows where no rule can. No text of the
//! frameworks themselves. Which rules test a control is said once, by the rules; a test holds both sides together.
use crate::{Framework, RULES, Rule};

mod ai_act;
mod ai_rmf;
mod coppa;
mod gdpr;
mod iso_42001;
mod nist_800_207;
mod pci_dss;
mod soc2;

/// A framework as a table.
pub struct Table {
    /// Its name as people say it.
    pub name: &'static str,
    /// Which edition the ids are of.
    pub version: &'static str,
    /// What of a model it is about.
    pub scope: Scope,
    /// What people write before an id: `Art. `.
    pub prefix: &'static str,
    /// Where the framework itself can be read.
    pub source: &'static str,
    /// What must be said in every report on it.
    pub note: &'static str,
    /// Its controls in its own order: those that concern services, data, access, logs and who answers for them.
    pub clauses: &'static [Clause],
}

/// A control as the table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Its id in the framework.
    pub id: &'static str,
    /// What it is called here.
    pub title: &'static str,
    /// What it asks.
    pub asks: &'static str,
    /// Whether rules test a part of it in the model.
    pub tested: bool,
    /// It is about credentials: only where one is at stake do rules test it.
    pub credentials: bool,
    /// What a person shows: all of it where no rule tests it, else what the rules do not see.
    pub show: &'static str,
}

/// What of a model a framework is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Everything,
    /// Data about people.
    Personal,
    /// Data about children.
    Child,
    /// Card numbers and what is read from a card with them.
    Account,
    /// What AI systems are made of, are asked and answer.
    Ai,
}

impl Scope {
    /// The data, as a sentence names them.
    pub fn data(self) -> &'static str {
        match self {
            Self::Everything => "data",
            Self::Personal => "personal data",
            Self::Child => "data about a child",
            Self::Account => "account data",
            Self::Ai => "data of an AI system",
        }
    }

    /// How a model says that it has such data.
    pub fn said_by(self) -> &'static str {
        match self {
            Self::Everything => "",
            Self::Personal => "`about: person` or `about: child`, or a kind such as `of: email`",
            Self::Child => "`about: child`",
            Self::Account => "`of: pan` (also `account-data`, `cardholder`, `card`, `cvv`, `pin`, `track`)",
            Self::Ai => "`of: model`, `training-data`, `dataset`, `prompt`, `embedding`, `inference` or `prediction`",
        }
    }

    /// Whether a datum with this kind, about this, is in it.
    pub(crate) fn has(self, of: Option<&str>, about: Option<&str>) -> bool {
        let kind = |kinds: &[&str]| of.is_some_and(|of| kinds.contains(&of));
        match self {
            Self::Everything => true,
            Self::Personal => about.is_some() || kind(PERSONAL),
            Self::Child => about == Some("child") || kind(&["child-profile", "child-data"]),
            Self::Account => kind(&["pan", "account-data", "cardholder", "card", "cvv", "pin", "track"]),
            Self::Ai => kind(AI),
        }
    }
}

const PERSONAL: &[&str] =
    &["email", "phone", "address", "name", "location", "health", "genetic", "biometric", "child-profile", "child-data"];
const AI: &[&str] = &["model", "training-data", "dataset", "prompt", "embedding", "inference", "prediction"];

const fn tested(id: &'static str, title: &'static str, asks: &'static str, show: &'static str) -> Clause {
    Clause { id, title, asks, tested: true, credentials: false, show }
}

/// Tested, of credentials only.
const fn credentials(id: &'static str, title: &'static str, asks: &'static str, show: &'static str) -> Clause {
    Clause { id, title, asks, tested: true, credentials: true, show }
}

const fn manual(id: &'static str, title: &'static str, asks: &'static str, show: &'static str) -> Clause {
    Clause { id, title, asks, tested: false, credentials: false, show }
}

impl Framework {
    /// Every framework, in the order of the guide.
    pub const ALL: [Self; 8] = [
        Self::PciDss,
        Self::Soc2,
        Self::Gdpr,
        Self::Nist800207,
        Self::NistAiRmf,
        Self::Iso42001,
        Self::EuAiAct,
        Self::Coppa,
    ];

    /// Its table.
    pub fn table(self) -> &'static Table {
        match self {
            Self::PciDss => &pci_dss::TABLE,
            Self::Soc2 => &soc2::TABLE,
            Self::Gdpr => &gdpr::TABLE,
            Self::Nist800207 => &nist_800_207::TABLE,
            Self::NistAiRmf => &ai_rmf::TABLE,
            Self::Iso42001 => &iso_42001::TABLE,
            Self::EuAiAct => &ai_act::TABLE,
            Self::Coppa => &coppa::TABLE,
        }
    }

    /// By its id, or by a beginning of it that means one only: `pci-dss`.
    pub fn find(text: &str) -> Option<Self> {
        if let Some(exact) = Self::ALL.into_iter().find(|f| f.as_str() == text) {
            return Some(exact);
        }
        let mut near = Self::ALL.into_iter().filter(|f| !text.is_empty() && f.as_str().starts_with(text));
        near.next().filter(|_| near.next().is_none())
    }

    /// A control of it.
    pub fn clause(self, id: &str) -> Option<&'static Clause> {
        self.table().clauses.iter().find(|c| c.id == id)
    }

    /// The rules that test a control of it.
    pub fn rules(self, id: &str) -> impl Iterator<Item = &'static Rule> {
        RULES.iter().copied().filter(move |rule| rule.controls.iter().any(|c| c.framework == self && c.id == id))
    }
}

#[cfg(test)]
mod tests;
