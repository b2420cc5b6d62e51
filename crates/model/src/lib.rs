//! The vocabulary: what people declare (zones, data, nodes, flows), the standard resources beside it, and the
//! identifiers every other crate speaks in. Plain data; it never touches a file, a socket or the clock.
pub mod allow;
pub mod diagnostic;
pub mod id;
pub mod istio;
pub mod mesh;

pub use diagnostic::{Diagnostic, Severity, SourceFile};
pub use id::{Name, SpiffeId, TrustDomain};
pub use mesh::*;
