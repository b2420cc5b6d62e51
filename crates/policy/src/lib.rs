//! May this principal do this now? Compile, decide, explain.
