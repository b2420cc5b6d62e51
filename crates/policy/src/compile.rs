//! From documents to rules.
