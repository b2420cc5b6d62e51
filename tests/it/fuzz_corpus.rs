//! Replays the corpus of every fuzz target: inputs that once broke something, or are near what could.
#[path = "../../fuzz/properties/allow_entry.rs"]
mod allow_entry;
#[path = "../../fuzz/properties/import.rs"]
mod import;
#[path = "../../fuzz/properties/join_token.rs"]
mod join_token;
#[path = "../../fuzz/properties/key_set.rs"]
mod key_set;
#[path = "../../fuzz/properties/model_load.rs"]
mod model_load;
#[path = "../../fuzz/properties/policy_decide.rs"]
mod policy_decide;
#[path = "../../fuzz/properties/spool.rs"]
mod spool;
#[path = "../../fuzz/properties/token.rs"]
mod token;
#[path = "../../fuzz/properties/token_places.rs"]
mod token_places;

use std::{fs, path::Path};

fn replay(target: &str, check: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    for path in paths {
        // Seen only when the property fails: which file it was.
        println!("{}", path.display());
        check(&fs::read(&path).unwrap());
    }
}

#[test]
fn allow_entry_corpus() {
    replay("allow_entry", allow_entry::check);
}

#[test]
fn import_corpus() {
    replay("import", import::check);
}

#[test]
fn join_token_corpus() {
    replay("join_token", join_token::check);
}

#[test]
fn key_set_corpus() {
    replay("key_set", key_set::check);
}

#[test]
fn model_load_corpus() {
    replay("model_load", model_load::check);
}

#[test]
fn policy_decide_corpus() {
    replay("policy_decide", policy_decide::check);
}

#[test]
fn token_corpus() {
    replay("token", token::check);
}

#[test]
fn token_places_corpus() {
    replay("token_places", token_places::check);
}

#[test]
fn spool_corpus() {
    replay("spool", spool::check);
}
