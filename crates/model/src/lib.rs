//! The vocabulary: what people declare (zones, data, nodes, flows), the standard resources beside it, and the
//! identifiers every other crate speaks in. Plain data; it never touches a file, a socket or the clock.
pub mod allow;
mod closest;
pub mod diagnostic;
pub mod graph;
pub mod id;
pub mod issuer;
pub mod istio;
pub mod load;
pub mod mesh;
pub mod token;
pub mod tree;
pub mod words;

pub use closest::closest;
pub use diagnostic::{Diagnostic, Severity, SourceFile};
pub use id::{Name, SpiffeId, TrustDomain};
pub use issuer::{Claim, Issuer, KeyAddress, KeySource, Reach, Token, TokenNeed};
pub use load::{Documents, Loaded, load, load_documents, policy_diagnostic};
pub use mesh::*;
pub use token::TokenFault;
