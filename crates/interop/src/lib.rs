//! Models elsewhere: what others drew or deployed, read as a model of ours, and ours written as theirs.
//!
//! An engine: text in, text out. It never touches a file, a socket or the clock, and it depends on `model` only.
pub mod draft;
pub mod export;
pub mod import;
