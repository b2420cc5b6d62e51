//! The real programs, for journeys from outside. Nothing here links them.
use std::path::PathBuf;

/// The program `name` (`ward`, `ward-proxy`, `ward-control`, `shop`) of the profile that this test was built with.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace --bins` first", path.display());
    path
}
