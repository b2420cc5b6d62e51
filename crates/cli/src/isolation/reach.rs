//! Directories on the way to a model that its applications' user may not walk through, such as root's home (0700).
//!
//! An application of such a user gets, in its own mount namespace, an empty directory in place of each closed one, with
//! only the way to the model and to its state in it. It sees less of that directory than before, not more.
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use super::wrap::User;

/// A closed directory and what must stay in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The directory, absolute.
    pub(crate) dir: PathBuf,
    /// Names of the directories in it that lead on.
    pub(crate) keep: Vec<OsString>,
}

/// The shell that opens the way: `sh -c OPEN ward START [DIR NAME… /]… -- COMMAND…`. Names are bound from the hidden
/// directory, which the shell is still in when the empty one lies over it; made absolute they would name the empty one.
pub(crate) const OPEN: &str = r#"start=$1; shift
while [ "$1" != -- ]; do
  dir=$1; shift
  cd "$dir" && mount -t tmpfs -o size=64k,mode=0711 ward "$dir" || exit 125
  while [ "$1" != / ]; do
    mkdir "$dir/$1" && mount --no-canonicalize --rbind "./$1" "$dir/$1" || exit 125
    shift
  done
  shift
done
shift
cd "$start" && exec "$@""#;

/// The closed directories above `paths` (absolute, without links), outermost first.
pub(crate) fn closed(user: &User, paths: &[PathBuf]) -> Vec<Closed> {
    let mut found: Vec<Closed> = Vec::new();
    for path in paths {
        let mut dir = PathBuf::new();
        for component in path.components() {
            if let Component::Normal(name) = component
                && !may_walk(user, &dir)
            {
                match found.iter_mut().find(|closed| closed.dir == dir) {
                    Some(closed) if closed.keep.iter().any(|kept| kept == name) => {}
                    Some(closed) => closed.keep.push(name.to_owned()),
                    None => found.push(Closed { dir: dir.clone(), keep: vec![name.to_owned()] }),
                }
            }
            dir.push(component);
        }
    }
    found.sort_by_key(|closed| closed.dir.components().count());
    found
}

/// By the permission bits alone: groups beyond the primary one and access lists are not asked, which at worst opens a
/// way that was open. What cannot be looked at is left for the application to find out.
fn may_walk(user: &User, dir: &Path) -> bool {
    let Ok(meta) = fs::metadata(dir) else { return true };
    let bit = match () {
        () if meta.uid() == user.uid => 0o100,
        () if meta.gid() == user.gid => 0o010,
        () => 0o001,
    };
    meta.mode() & bit != 0
}
