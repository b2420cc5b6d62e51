//! COPPA, 16 CFR 312, as amended in 2025 (90 FR 16918).
use super::{Clause, Scope, Table, manual, tested};

pub(super) const TABLE: Table = Table {
    name: "COPPA",
    version: "16 CFR 312, as amended on 22 April 2025",
    scope: Scope::Child,
    prefix: "§ ",
    source: "https://www.ecfr.gov/current/title-16/chapter-I/subchapter-C/part-312",
    note: "The rule is about personal information collected online from children under 13. A model says `about: child` and \
not the age or how data were collected: whether the rule applies is for counsel.",
    clauses: CLAUSES,
};

const CLAUSES: &[Clause] = &[
    manual("312.4.a", "Clear notice", "Notices are clear, complete and without distraction.", "the notices"),
    manual(
        "312.4.b",
        "Notice to parents",
        "Parents are told directly, and told again of large changes.",
        "the message to parents",
    ),
    manual(
        "312.4.d",
        "Notice on the service",
        "The service itself says what it collects, for what, who gets it, and how long it is kept.",
        "the page; recipients and periods should be those of the model",
    ),
    manual(
        "312.5.a",
        "Consent of parents",
        "Parents consent before data are collected, used or disclosed, and can refuse disclosure to third parties.",
        "records of consent, with disclosure asked apart",
    ),
    manual(
        "312.5.b",
        "Consent can be believed",
        "The way of consent makes it likely that it is the parent.",
        "the method",
    ),
    manual(
        "312.6",
        "Parents can look and stop",
        "Parents can see, stop and delete, after proving who they are.",
        "a request and its answer",
    ),
    tested(
        "312.7",
        "No more than the activity needs",
        "Taking part does not depend on more data than it needs.",
        "why each datum is needed for the activity; rules look only at data that nobody keeps, reads or returns",
    ),
    tested(
        "312.8",
        "Security of children's data",
        "Reasonable measures protect confidentiality, security and integrity; data go only to who can protect them.",
        "the measures as they are operated, and the written assurances of recipients",
    ),
    manual(
        "312.8.b",
        "Written security programme",
        "There is a written programme: somebody coordinates it, risks are assessed every year, safeguards are designed, tested and improved.",
        "the programme, and the last assessment; this report can be a part of it",
    ),
    tested(
        "312.10",
        "Deletion",
        "Data are kept as long as their purpose needs and never for ever, by a written policy that is published.",
        "the policy, and proof of deletion; rules look only at whether copies end with their original",
    ),
];
