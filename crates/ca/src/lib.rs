//! Signs SVIDs; the only holder of a CA key.
