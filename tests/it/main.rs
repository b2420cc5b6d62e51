//! The one test binary: tidy, component, end to end.
mod binaries;
mod eventually;
mod fuzz_corpus;
mod guide;
mod reference;
mod tidy;
