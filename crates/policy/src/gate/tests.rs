//! The answers of a whole gate.
