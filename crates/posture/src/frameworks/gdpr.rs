//! GDPR, Regulation (EU) 2016/679, by article: the principles, rights and duties that a system has a part in.
use super::{Clause, Scope, Table, manual, tested};

pub(super) const TABLE: Table = Table {
    name: "GDPR",
    version: "Regulation (EU) 2016/679",
    scope: Scope::Personal,
    prefix: "Art. ",
    source: "https://eur-lex.europa.eu/eli/reg/2016/679/oj",
    note: "Data under a pseudonym are still personal data (recital 26): a flow with a `transform` moves less about a person, \
and what it moves is counted here all the same. Nothing here says that data are anonymous.",
    clauses: CLAUSES,
};

const CLAUSES: &[Clause] = &[
    manual(
        "5.1.a",
        "Lawful, fair, open",
        "Processing is lawful, fair, and open to the person.",
        "the legal basis of each processing, and what people are told",
    ),
    manual(
        "5.1.b",
        "Bound to a purpose",
        "Data are used for the purposes for which they were collected.",
        "the purpose of each datum and of each use",
    ),
    tested(
        "5.1.c",
        "No more than needed",
        "Data are limited to what the purpose needs.",
        "why each datum is needed at all; rules look only at data that nobody uses, and at who gets data about children without a stated need",
    ),
    manual("5.1.d", "Accurate", "Data are correct and kept current.", "how errors are found and mended"),
    tested(
        "5.1.e",
        "No longer than needed",
        "Data are kept no longer than the purpose needs.",
        "the reason of each period, and proof of deletion; rules look only at whether copies end with their original",
    ),
    tested(
        "5.1.f",
        "Integrity and confidentiality",
        "Data are protected against unauthorized use, loss and damage.",
        "backups, and the measures as they are operated",
    ),
    manual(
        "5.2",
        "Accountability",
        "Whoever decides on the processing can show that the principles are kept.",
        "the file that this report can be a part of",
    ),
    manual("6", "Legal basis", "Each processing has a legal basis.", "which, for each purpose"),
    manual("7", "Consent", "Consent can be proven and withdrawn.", "records of consent, and how it is withdrawn"),
    manual(
        "8",
        "Consent of children",
        "A child's consent to a service of the information society comes from its parents below the age that the member state sets.",
        "how age and parents are checked",
    ),
    manual(
        "9",
        "Special categories",
        "Health, belief, origin and the like are processed under an exception only.",
        "the exception that applies",
    ),
    manual(
        "12",
        "Clear answers",
        "Requests of people are answered clearly and within a month.",
        "a sample of requests",
    ),
    manual(
        "13",
        "People are told",
        "People are told of the processing when data are collected from them.",
        "the notice, with recipients and periods as the model has them",
    ),
    manual(
        "15",
        "Access",
        "People get a copy of their data.",
        "a request and its answer; the model says which stores to look in",
    ),
    manual(
        "17",
        "Erasure",
        "Data are erased on request where nothing stands against it.",
        "a request and what was erased, copies and recipients included",
    ),
    manual("20", "Portability", "People get their data in a form that machines read.", "an export"),
    manual(
        "22",
        "Automated decisions",
        "Nobody is subject to a decision by machine alone that affects them much, but for exceptions.",
        "which decisions are automated, and how a person steps in",
    ),
    manual("24", "Responsibility", "Measures fit the risk, and are reviewed.", "reviews of the measures"),
    tested(
        "25",
        "By design and by default",
        "Measures are built in, and by default only what is needed is processed, reachable by few.",
        "decisions of design, and the defaults that people meet",
    ),
    manual("26", "Joint controllers", "Who decides together has agreed who does what.", "the agreement"),
    manual(
        "28",
        "Processors",
        "Who processes for somebody else is bound by contract, and gives guarantees.",
        "the contract with each processor; nodes that others run are candidates",
    ),
    manual(
        "30",
        "Register of processing",
        "There is a register: purposes, people, data, recipients, transfers, periods, measures.",
        "the register; data, flows, `residency` and `retention` of the model are a part of it, records of access are not",
    ),
    tested(
        "32",
        "Security of processing",
        "Measures fit the risk: encryption, confidentiality, integrity, availability, and tests of them.",
        "availability, restoring, and regular tests; people who act on instruction only (Art. 32(4))",
    ),
    manual(
        "33",
        "Breaches are told to the authority",
        "A breach is told to the authority within 72 hours, and documented.",
        "the procedure, and an exercise of it",
    ),
    manual(
        "34",
        "Breaches are told to people",
        "People are told of a breach that is a high risk to them.",
        "the procedure",
    ),
    manual(
        "35",
        "Impact assessment",
        "High risks are assessed before the processing begins.",
        "the assessment, or why none is needed; paths and findings of the model are a part of it",
    ),
    manual(
        "36",
        "The authority is asked",
        "Where the risk stays high, the authority is asked first.",
        "the consultation, or why none was needed",
    ),
    manual(
        "37",
        "Data protection officer",
        "There is a data protection officer where one is needed.",
        "the designation, or why none is needed",
    ),
    tested(
        "44",
        "Transfers to other countries",
        "Data leave the Union only as the regulation allows, onward transfers too.",
        "the ground of each transfer; rules look only at regions that data state",
    ),
    manual(
        "45",
        "Adequate countries",
        "A transfer may go where the Commission found protection adequate.",
        "the decision for each country",
    ),
    manual(
        "46",
        "Safeguards of transfers",
        "Other transfers have safeguards, such as standard clauses.",
        "the clauses, and the assessment of the country",
    ),
];
