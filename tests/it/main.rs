//! The one test binary: tidy, component, end to end.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "nothing here ships")]
mod binaries;
mod e2e;
mod envoy;
mod eventually;
mod fuzz_corpus;
mod guide;
mod link;
mod reference;
mod tidy;
mod trestle;
