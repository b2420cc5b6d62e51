//! The one test binary: tidy, component, end to end.
mod binaries;
mod cli_reference;
mod eventually;
mod fuzz_corpus;
mod tidy;
