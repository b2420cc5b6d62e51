//! NIST SP 800-207, August 2020: the seven tenets of zero trust, section 2.1. Ids are the tenets' numbers there.
use super::{Clause, Scope, Table, manual, tested};

pub(super) const TABLE: Table = Table {
    name: "NIST SP 800-207",
    version: "August 2020, tenets of section 2.1",
    scope: Scope::Everything,
    prefix: "Tenet ",
    source: "https://doi.org/10.6028/NIST.SP.800-207",
    note: "Tenets are aims, not requirements: the publication says that not all of them will be met in full by everybody.",
    clauses: CLAUSES,
};

const CLAUSES: &[Clause] = &[
    manual(
        "1",
        "Everything is a resource",
        "All sources of data and all computing services count as resources to protect.",
        "that the model leaves nothing out: how it is compared with what really runs",
    ),
    tested(
        "2",
        "All communication is secured",
        "Communication is protected wherever it takes place; being inside a network earns no trust.",
        "the same on the wire, for flows that Ward does not enforce",
    ),
    tested(
        "3",
        "Access per session, with least rights",
        "Access to each resource is given for a session, with the least rights that the task needs.",
        "sessions of people, and how long they last",
    ),
    tested(
        "4",
        "Access by dynamic policy",
        "Policy decides on access from identity, application, state of the asset and behaviour.",
        "which attributes decide; rules look only at whether policies come the safe way and declared words are enforced",
    ),
    manual(
        "5",
        "Assets are measured",
        "The integrity and security of all assets is watched; nothing is trusted by itself.",
        "how devices and workloads are measured, and what happens to those that fall short",
    ),
    tested(
        "6",
        "Strict enforcement before access",
        "Authentication and authorization happen, and are enforced, before each access.",
        "re-authentication and second factors in operation",
    ),
    tested(
        "7",
        "Everything is recorded, and used",
        "As much as possible is collected about assets, network and communication, and used to do better.",
        "what is done with the records",
    ),
];
