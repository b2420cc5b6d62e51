//! The pure parts: filters, names, wrapping, finding programs. The rest is proved end to end.
use std::{collections::BTreeMap, ffi::OsStr, fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{
    Isolation, Place,
    loopback::lowest_free,
    netns,
    wrap::{User, Wrapper, effective, resolve},
};

fn words(argv: &[std::ffi::OsString]) -> String {
    argv.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn place(netns: Option<&str>) -> Place {
    let local = std::net::Ipv4Addr::LOCALHOST;
    let isolation = if netns.is_some() { Isolation::Netns } else { Isolation::Loopback };
    Place::new(isolation, netns.map(Into::into), "10.201.0.32".parse().unwrap(), local)
}

#[test]
fn the_filter_opens_the_mesh_port_and_nothing_else() {
    let filter = netns::filter(7, 15012);
    for line in [
        "policy drop;",
        "tcp dport 15008 accept",
        "tcp flags & (syn | ack) == syn reject with tcp reset",
        "meta skuid != 0 reject",
        "ip daddr 10.201.7.1 tcp dport 15012 accept",
        "ip daddr 10.201.7.0/27 reject",
    ] {
        assert!(filter.contains(line), "{line} is not in\n{filter}");
    }
    assert_eq!(filter.matches("policy drop;").count(), 2);
}

#[test]
fn only_names_we_give_have_a_number() {
    for (name, number) in [
        ("ward0", Some(0)),
        ("ward255", Some(255)),
        ("ward12-34", Some(12)),
        ("ward3-orders-0", Some(3)),
        ("ward256", None),
        ("ward01", None),
        ("ward", None),
        ("ward-1", None),
        ("warden0", None),
        ("eth0", None),
    ] {
        assert_eq!(netns::number_of(name), number, "{name}");
    }
}

#[test]
fn the_lowest_free_number_is_taken() {
    let taken = [("a".to_owned(), 2), ("b".to_owned(), 4)].into();
    assert_eq!(lowest_free(&taken, 2..=5), Some(3));
    assert_eq!(lowest_free(&taken, 2..=2), None);
}

#[test]
fn an_application_is_stripped_of_everything() {
    let root = Wrapper { root: true, mounts: true, private: "/s/private".into(), paths: Vec::new() };
    let user = User { name: "postgres".into(), uid: 101, gid: 104, home: "/var/lib/postgresql".into() };
    let argv = ["./app".into(), "x".into()];
    let marks = BTreeMap::from([("WARD_PROCESS".to_owned(), "db/0".into())]);
    assert_eq!(
        words(&root.application(&place(Some("ward0-db-0")), Some(&user), &marks, &argv)),
        "ip netns exec ward0-db-0 sh -c mount -t tmpfs -o ro,size=4k,mode=0 ward \"$1\" && shift && exec \"$@\" ward \
         /s/private setpriv --pdeathsig KILL unshare --pid --fork --kill-child=KILL --mount-proc -- \
         setpriv --pdeathsig KILL --no-new-privs --inh-caps=-all --bounding-set=-all --reuid 101 --regid 104 \
         --init-groups sh -c trap : TERM INT HUP; \"$@\"; exit $? ward env WARD_PROCESS=db/0 ./app x"
    );
    let plain = Wrapper { root: false, mounts: false, private: "/s/private".into(), paths: Vec::new() };
    assert_eq!(
        words(&plain.application(&place(None), Some(&user), &marks, &argv)),
        "setpriv --pdeathsig KILL --no-new-privs ./app x"
    );
    assert_eq!(
        words(&root.own(Some(&place(Some("ward0-db-0"))), &argv)),
        "ip netns exec ward0-db-0 setpriv --pdeathsig KILL --no-new-privs --inh-caps=-all \
         --bounding-set=-all,+dac_override,+net_bind_service ./app x"
    );
}

#[test]
fn passwd_lines_and_capabilities_are_read() {
    let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash";
    let user = User::parse(line).unwrap();
    assert_eq!((user.uid, user.gid, user.home.as_path()), (101, 104, Path::new("/var/lib/postgresql")));
    for bad in ["", "x", "x:x:y:1::/:", ":x:1:1::/:"] {
        assert_eq!(User::parse(bad), None, "{bad}");
    }
    assert_eq!(effective("CapPrm:\t0\nCapEff:\t0000000000201000\n"), Some(0x20_1000));
    assert_eq!(effective("CapPrm:\t0\n"), None);
}

#[test]
fn programs_are_looked_for_in_the_model_directory_then_in_path() {
    let (dir, path) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (file, mode) in
        [(dir.path().join("app"), 0o755), (dir.path().join("plain"), 0o644), (path.path().join("tool"), 0o755)]
    {
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
    let find =
        |program: &str| resolve(dir.path(), program, path.path().as_os_str()).map_err(|error| format!("{error:#}"));
    assert_eq!(find("app").unwrap(), OsStr::new("./app"));
    assert_eq!(find("./app").unwrap(), OsStr::new("./app"));
    assert_eq!(find("tool").unwrap(), path.path().join("tool").as_os_str());
    assert!(find("./plain").unwrap_err().contains("chmod +x"));
    assert!(find("./none").unwrap_err().contains("build or copy it there"));
    assert!(find("none").unwrap_err().contains("neither in"));
}

#[test]
fn a_closed_directory_above_the_model_is_opened_for_the_applications_user_only_as_far_as_needed() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let top = tempfile::tempdir().unwrap();
    let home = top.path().canonicalize().unwrap().join("home");
    let (model, state) = (home.join("clone/model"), home.join("state"));
    std::fs::create_dir_all(&model).unwrap();
    std::fs::create_dir_all(&state).unwrap();
    for (dir, mode) in [(top.path(), 0o755), (&home, 0o700), (&home.join("clone"), 0o755)] {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let owner = std::fs::metadata(&home).unwrap().uid();
    let other = User { name: "other".into(), uid: owner + 1, gid: u32::MAX, home: "/".into() };
    let paths = vec![model.clone(), state.clone()];
    let root = Wrapper { root: true, mounts: true, private: state.join("private"), paths: paths.clone() };
    let (home, start) = (home.display(), model.display());
    let line = words(&root.application(&place(Some("ns")), Some(&other), &BTreeMap::new(), &["./app".into()]));
    assert!(line.contains(&format!(" ward {start} {home} clone state / -- sh -c mount ")), "{line}");
    // Its owner may walk there, and a user that is not changed needs no way.
    let own = User { uid: owner, ..other };
    assert!(
        !words(&root.application(&place(Some("ns")), Some(&own), &BTreeMap::new(), &["./app".into()]))
            .contains(" / -- ")
    );
    assert!(
        !words(&root.application(&place(Some("ns")), None, &BTreeMap::new(), &["./app".into()])).contains(" / -- ")
    );
}

#[test]
fn the_way_below_a_closed_directory_is_walked_by_another_user() {
    use std::os::unix::fs::PermissionsExt as _;
    if !super::wrap::can_make_namespaces() {
        return; // nothing is opened then: `Wrapper::application` makes no mount
    }
    let top = tempfile::tempdir().unwrap();
    let home = top.path().canonicalize().unwrap();
    let model = home.join("clone/model");
    std::fs::create_dir_all(&model).unwrap();
    std::fs::write(model.join("here"), "").unwrap();
    std::fs::write(home.join("secret"), "").unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
    let script = format!("test -e here && test -e {0}/clone && ! test -e {0}/secret && id -u", home.display());
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "slave", "--", "sh", "-c", super::reach::OPEN, "ward"])
        .args([&model, &home])
        .args(["clone", "/", "--", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c"])
        .arg(script)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "65534\n", "{}", String::from_utf8_lossy(&output.stderr));
    assert!(home.join("secret").exists(), "outside, everything is as it was");
}
