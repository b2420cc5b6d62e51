//! Names of controls. A rule names the controls that it tests and that its finding fails; a control that no rule names is
//! nobody's claim. What they ask stands in `frameworks`.
use std::fmt;

/// A framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Framework {
    /// PCI DSS 4.0.1.
    PciDss,
    /// SOC 2, trust services criteria.
    Soc2,
    /// GDPR, by article.
    Gdpr,
    /// NIST SP 800-207, by tenet.
    Nist800207,
    /// NIST AI RMF, by subcategory.
    NistAiRmf,
    /// ISO/IEC 42001, annex A.
    Iso42001,
    /// EU AI Act, by article.
    EuAiAct,
    /// COPPA, 16 CFR 312.
    Coppa,
}

/// One control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Control {
    /// Of which framework.
    pub framework: Framework,
    /// Its id there.
    pub id: &'static str,
}

impl Framework {
    /// Its name in ids: `pci-dss-4.0.1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PciDss => "pci-dss-4.0.1",
            Self::Soc2 => "soc2",
            Self::Gdpr => "gdpr",
            Self::Nist800207 => "nist-800-207",
            Self::NistAiRmf => "nist-ai-rmf",
            Self::Iso42001 => "iso-42001",
            Self::EuAiAct => "eu-ai-act",
            Self::Coppa => "coppa",
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.framework.as_str(), self.id)
    }
}

/// A requirement of PCI DSS 4.0.1.
pub(crate) const fn pci(id: &'static str) -> Control {
    Control { framework: Framework::PciDss, id }
}

/// A criterion of SOC 2.
pub(crate) const fn soc2(id: &'static str) -> Control {
    Control { framework: Framework::Soc2, id }
}

/// An article of the GDPR.
pub(crate) const fn gdpr(id: &'static str) -> Control {
    Control { framework: Framework::Gdpr, id }
}

/// A tenet of NIST SP 800-207, section 2.1.
pub(crate) const fn tenet(id: &'static str) -> Control {
    Control { framework: Framework::Nist800207, id }
}

/// A subcategory of the NIST AI RMF.
pub(crate) const fn ai_rmf(id: &'static str) -> Control {
    Control { framework: Framework::NistAiRmf, id }
}

/// A control of ISO/IEC 42001, annex A.
pub(crate) const fn iso_42001(id: &'static str) -> Control {
    Control { framework: Framework::Iso42001, id }
}

/// An article of the EU AI Act.
pub(crate) const fn ai_act(id: &'static str) -> Control {
    Control { framework: Framework::EuAiAct, id }
}

/// A section of 16 CFR 312.
pub(crate) const fn coppa(id: &'static str) -> Control {
    Control { framework: Framework::Coppa, id }
}
