//! Draws diagnostics for people.
