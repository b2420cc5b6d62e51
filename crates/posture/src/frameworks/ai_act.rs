//! EU AI Act, Regulation (EU) 2024/1689, by article and paragraph: what it asks of high-risk systems, of who provides and of
//! who uses them, and of transparency.
use super::{Clause, Scope, Table, manual, tested};

pub(super) const TABLE: Table = Table {
    name: "EU AI Act",
    version: "Regulation (EU) 2024/1689",
    scope: Scope::Ai,
    prefix: "Art. ",
    source: "https://eur-lex.europa.eu/eli/reg/2024/1689/oj",
    note: "Articles 8 to 27 are about high-risk systems. Whether a system is one (Art. 6), and from which day the duties \
apply, is for counsel and not in the model.",
    clauses: CLAUSES,
};

const CLAUSES: &[Clause] = &[
    manual("4", "People know AI", "Who works with AI understands it well enough.", "training"),
    manual(
        "5",
        "Prohibited practices",
        "Prohibited uses of AI do not happen.",
        "the use of each AI system, compared with the list",
    ),
    manual("6", "High risk or not", "It is decided whether the system is high-risk.", "the decision and its reasons"),
    manual(
        "9",
        "Risk management",
        "Risks are managed over the whole life of the system.",
        "the risk file; findings and paths of the model are a part of it",
    ),
    manual(
        "10",
        "Data and data governance",
        "Data for training, validation and test are governed: origin, choice, quality, bias.",
        "the documents of each data set",
    ),
    manual(
        "11",
        "Technical documentation",
        "Technical documentation exists before the system is put on the market.",
        "the documentation; the model is a part of its description of the system",
    ),
    tested(
        "12",
        "Record-keeping",
        "The system can record events by itself over its life, enough to trace what it did.",
        "which events the system itself records, as Art. 12(2) and (3) list them; rules look only at whether access is recorded",
    ),
    manual(
        "13",
        "Transparency to deployers",
        "Who uses the system can understand its output, and has instructions.",
        "the instructions",
    ),
    manual(
        "14",
        "Human oversight",
        "People can oversee the system, understand, override and stop it.",
        "the means, and a test of them",
    ),
    manual(
        "15.1",
        "Accuracy, robustness, cybersecurity",
        "The system is accurate, robust and secure enough, all its life.",
        "measurements",
    ),
    manual(
        "15.4",
        "Robustness",
        "The system stands errors and faults, and learns no bias from its own output.",
        "tests and fallbacks",
    ),
    tested(
        "15.5",
        "Cybersecurity",
        "Third parties cannot change its use, output or performance: poisoned data or models, crafted inputs, stolen data.",
        "defence against poisoning, evasion and extraction; rules look only at access to what it is made of, asked and answers",
    ),
    manual("17", "Quality management", "The provider has a quality management system.", "the system"),
    manual("18", "Documents are kept", "Documents are kept ten years.", "where they are"),
    manual("19", "Logs are kept", "The provider keeps the logs for at least six months.", "the oldest log"),
    manual("26.1", "Used as instructed", "Who uses the system follows its instructions.", "the measures"),
    manual("26.2", "Overseers", "Oversight is given to people who can and may do it.", "who they are"),
    manual("26.4", "Fitting input", "Input data fit the purpose.", "how that is checked"),
    manual("26.5", "Use is watched", "Operation is watched, and risks and incidents are told.", "the monitoring"),
    manual("26.6", "User keeps logs", "Who uses the system keeps its logs for at least six months.", "the oldest log"),
    manual("26.7", "Workers are told", "Workers are told before such a system is used at work.", "the notice"),
    manual(
        "26.9",
        "Data protection assessment",
        "The provider's information is used for the impact assessment under the GDPR.",
        "the assessment",
    ),
    manual(
        "27",
        "Fundamental rights assessment",
        "Some users assess the impact on fundamental rights first.",
        "the assessment, or why none is needed",
    ),
    manual("49", "Registration", "The system is registered in the Union's database.", "the entry"),
    manual(
        "50",
        "People know that it is AI",
        "People know that they speak with AI, or see what it made.",
        "the notice and the marks",
    ),
    manual("72", "Watched after sale", "The provider watches the system on the market by a plan.", "the plan"),
    manual("73", "Serious incidents", "Serious incidents are told to the authority.", "the procedure"),
];
