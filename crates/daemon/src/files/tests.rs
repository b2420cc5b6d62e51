//! The new content or the old, and nothing beside it.
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    // What a crash left beside it is no hindrance.
    fs::write(path.with_extension("new"), "half").unwrap();
    for content in ["one", "two"] {
        replace(&path, content.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!path.with_extension("new").exists());
    }
    // A directory in its place cannot be renamed over.
    let taken = dir.path().join("taken.json");
    fs::create_dir(&taken).unwrap();
    replace(&taken, b"three").unwrap_err();
    assert!(taken.is_dir() && !taken.with_extension("new").exists());
}
