//! What is wrong with what people wrote, and where: data only; the CLI draws it, the API serializes it.
use serde::{Deserialize, Serialize};

/// One file of a model directory, read by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Path relative to the model directory, with `/`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// How bad it is: an error refuses the model, a warning does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The model is refused.
    Error,
    /// The model is accepted; the word is declared and not yet enforced, or worth a look.
    Warning,
}

/// One thing that is wrong, with its place and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable kebab-case word for the kind of fault, e.g. `unknown-field`, `unknown-node`.
    pub code: String,
    /// `SourceFile::name`.
    pub file: String,
    /// Byte range in the file's text: start.
    pub start: usize,
    /// Byte range in the file's text: end, exclusive; equal to `start` for a point.
    pub end: usize,
    /// Line of `start`, from 1.
    pub line: usize,
    /// Column of `start` in characters, from 1.
    pub column: usize,
    /// Where in the model: `flows[3].via.allow[0]`.
    pub path: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it, e.g. the closest valid word.
    pub help: Option<String>,
}

/// Every code a diagnostic can have, with what it means.
pub const CODES: &[(&str, &str)] = &[
    // What was written cannot be read.
    ("no-model", "the directory has no ward.yaml"),
    ("too-large", "a named limit is exceeded"),
    ("too-many", "more problems than are listed"),
    ("yaml", "not YAML, or a part of YAML that is not read"),
    ("duplicate-key", "a key is written twice in one mapping"),
    ("unknown-version", "`ward:` names a version this program does not know"),
    ("unknown-field", "a field that this noun does not have"),
    ("missing-field", "a field that must be written"),
    ("wrong-type", "a list where a word is due, and the like"),
    ("bad-value", "a number, duration, date, rate, path or address that cannot be read"),
    ("bad-name", "not a DNS label or trust domain"),
    ("name-too-long", "the mesh name of a node does not fit in a TLS server name"),
    ("unknown-word", "not one of a closed set of words"),
    ("bad-allow", "an `allow` entry that cannot be read"),
    // References.
    ("unknown-zone", "no such zone"),
    ("unknown-data", "no such data"),
    ("unknown-node", "no such node"),
    ("unknown-flow", "no such flow"),
    ("unknown-issuer", "no such issuer of tokens, or none where one must be named"),
    ("unknown-subject", "a waiver accepts something about a subject that does not exist"),
    ("duplicate-name", "two nouns have one name"),
    ("zone-cycle", "a zone lies in itself"),
    ("copy-cycle", "data is a copy of itself"),
    // Meaning.
    ("misplaced-word", "a word that has no meaning on this noun"),
    ("duplicate-port", "a port is served or listened on twice"),
    ("reserved-port", "a port that the sidecar needs"),
    ("reserved-name", "an environment variable, policy name or annotation that Ward sets"),
    ("port-not-served", "the target does not serve this port"),
    ("ambiguous-port", "a gateway cannot tell to which port a request goes"),
    ("allow-on-tcp", "`allow` on a port whose requests cannot be seen"),
    ("gateway-tcp", "a gateway's flow to a port that is not HTTP"),
    ("route-overlap", "one request would go to two targets"),
    ("needs-gateway", "a party without a certificate sends to a node that is no gateway"),
    ("weaker-flow", "less than mutual TLS between two nodes under Ward"),
    ("weak-tls", "a TLS version below 1.3 between sidecars"),
    ("not-standby", "an emergency lists a flow that is always open"),
    ("not-a-party", "an approver that is no party"),
    ("not-yet", "understood, and refused until it can be enforced"),
    ("not-enforced", "declared, and nothing enforces it yet"),
    ("no-identity", "a node outside Ward sends to one under Ward, which refuses it"),
    ("any-request", "sensitive data on an HTTP flow that allows any request"),
    ("parties-alike", "two parties that cannot be told apart"),
    ("plaintext-data", "sensitive data through a listener without TLS"),
    ("idle-standby", "a standby flow that no emergency opens"),
    ("no-keys", "an approver without public keys"),
    ("private-address", "keys of tokens at an address of the own network that the mesh does not say is meant"),
    ("token-taken", "a gateway takes away the token that the next flow needs"),
    // Standard resources.
    ("no-kind", "a document that is neither the model nor a resource"),
    ("second-model", "nouns outside ward.yaml"),
    ("unknown-kind", "a resource that Ward does not know"),
    ("undeclared-allow", "an ALLOW policy that could widen the declared flows"),
    ("undeclared-token", "a RequestAuthentication that could widen which tokens of the mesh's issuers count"),
    ("bad-policy", "a policy that the engine does not understand, or that cannot do what it seems to"),
    ("selects-nothing", "a policy that selects no node of the model"),
];
