//! Who counts as contained.
use std::process::{Command, Stdio};

use super::{effective, is_contained};

#[test]
fn root_without_capabilities_is_no_operator() {
    assert_eq!(effective("Name:\tx\nCapEff:\t0000000000000402\n"), Some(0x402));
    assert_eq!(effective(""), None);
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(!is_contained(own) && !is_contained(0), "we are what we are");
    let mut stripped = Command::new("setpriv")
        .args(["--inh-caps=-all", "--bounding-set=-all", "sh", "-c", "echo; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stripped.stdout.take().unwrap()), &mut line).unwrap();
    let contained = is_contained(i32::try_from(stripped.id()).unwrap());
    drop(stripped.stdin.take());
    stripped.wait().unwrap();
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    // Who has none cannot drop any, and tells nobody apart by them.
    assert_eq!(contained, effective(&own).unwrap() != 0);
}
