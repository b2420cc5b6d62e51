//! The closure on small diagrams.
