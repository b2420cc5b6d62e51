//! Signs SVIDs; the only holder of a CA key.
//!
//! Pure: no files and no clock. What is signed follows from the arguments alone; a request's own names are never read.
mod authority;
mod request;

pub use authority::{Authority, AuthorityError, AuthorityPem, Issued};
pub use request::RequestError;
