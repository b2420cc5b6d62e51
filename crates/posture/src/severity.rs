//! The published table: how bad it is that a guarantee is lacking, by the class of the data and by who can get near.
use model::Class;

use crate::Severity;

/// Which guarantee is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Encryption where it is kept.
    AtRest,
    /// Encryption on the way.
    InTransit,
    /// Proof of who asks.
    Authentication,
    /// A record of who had it.
    Record,
    /// A reason to have it.
    Need,
}

/// Who can get near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Only what is inside the system.
    Inside,
    /// Somebody in a zone without trust.
    Outside,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The guarantee.
    pub lack: Lack,
    /// The class.
    pub class: Class,
    /// Inside; none where nothing is found.
    pub inside: Option<Severity>,
    /// Outside.
    pub outside: Option<Severity>,
}

const fn line(lack: Lack, class: Class, inside: Severity, outside: Severity) -> Line {
    Line { lack, class, inside: Some(inside), outside: Some(outside) }
}

/// The table. What has no line is no finding.
pub const TABLE: &[Line] = {
    use Class::{Confidential, Internal, Restricted, Secret};
    use Lack::{AtRest, Authentication, InTransit, Need, Record};
    use Severity::{Critical, High, Medium};
    &[
        line(AtRest, Confidential, High, Critical),
        line(AtRest, Restricted, High, Critical),
        line(AtRest, Secret, Critical, Critical),
        line(InTransit, Internal, Medium, High),
        line(InTransit, Confidential, High, Critical),
        line(InTransit, Restricted, High, Critical),
        line(InTransit, Secret, High, Critical),
        line(Authentication, Internal, Medium, High),
        line(Authentication, Confidential, High, Critical),
        line(Authentication, Restricted, High, Critical),
        line(Authentication, Secret, High, Critical),
        line(Record, Confidential, Medium, Medium),
        line(Record, Restricted, Medium, Medium),
        line(Record, Secret, Medium, Medium),
        line(Need, Confidential, Medium, High),
        line(Need, Restricted, High, Critical),
        line(Need, Secret, High, Critical),
    ]
};

/// What the table says.
pub(crate) fn of(lack: Lack, class: Class, exposure: Exposure) -> Option<Severity> {
    let line = TABLE.iter().find(|l| l.lack == lack && l.class == class)?;
    match exposure {
        Exposure::Inside => line.inside,
        Exposure::Outside => line.outside,
    }
}
