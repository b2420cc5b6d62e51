//! The one test binary: tidy, component, end to end.
mod eventually;
mod tidy;
