//! Proof only: this crate has tests and no library.
