//! The one test binary: tidy, component, end to end.
