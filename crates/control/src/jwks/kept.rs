//! Keys over a restart: one file for each address, named by its hash, so that an issuer that is down while the control
//! plane starts again locks nobody out. Public keys only.
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA256, digest};
use identity::token::KeySet;
use serde::{Deserialize, Serialize};

use super::{Inside, Source};
use crate::snapshot::hex;

/// Where they are.
#[derive(Clone, Debug)]
pub(super) struct Directory(pub(super) PathBuf);

/// A file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    address: String,
    /// Where the address could lie when they were fetched.
    inside: String,
    fetched_ms: u64,
    keys: String,
}

impl Directory {
    /// What was kept, and when it was fetched; nothing when it came from further inside than the address may lie now, or is
    /// not usable.
    pub(super) fn read(&self, source: &Source) -> Option<(String, u64)> {
        let text = fs::read_to_string(self.path(source)).ok()?;
        let file: File = serde_json::from_str(&text).ok()?;
        let same = file.address == source.address && file.inside == word(source.inside);
        KeySet::parse(&file.keys).ok().filter(|_| same).map(|_| (file.keys, file.fetched_ms))
    }

    /// Whole or not at all.
    pub(super) fn write(&self, source: &Source, keys: &str, fetched_ms: u64) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let file = File {
            address: source.address.clone(),
            inside: word(source.inside).to_owned(),
            fetched_ms,
            keys: keys.to_owned(),
        };
        daemon::files::replace(&self.path(source), serde_json::to_string(&file)?.as_bytes())
    }

    fn path(&self, source: &Source) -> PathBuf {
        Path::new(&self.0).join(hex(digest(&SHA256, source.address.as_bytes()).as_ref())).with_extension("json")
    }
}

fn word(inside: Inside) -> &'static str {
    match inside {
        Inside::Nowhere => "nowhere",
        Inside::Loopback => "loopback",
        Inside::Private => "private",
    }
}
