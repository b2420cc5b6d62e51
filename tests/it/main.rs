//! The one test binary: tidy, component, end to end.
mod binaries;
mod e2e;
mod eventually;
mod fuzz_corpus;
mod guide;
mod reference;
mod tidy;
