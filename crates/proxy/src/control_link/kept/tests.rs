//! What is kept comes back whole, or is refused with the place and the remedy.
use std::os::unix::fs::PermissionsExt;

use ca::Authority;
use identity::csr;

use super::*;

fn held() -> Held {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let day = Duration::from_secs(86_400);
    let domain: TrustDomain = "shop.example".parse().unwrap();
    let root = Authority::generate_root(&domain, day, now).unwrap();
    let (key, request) = csr::new().unwrap();
    let id = "spiffe://shop.example/ns/shop/sa/orders".parse().unwrap();
    let svid = Svid::from_der(root.sign_svid(&request, &id, day / 24, now).unwrap().chain, key).unwrap();
    let (key, request) = csr::new().unwrap();
    let server = root.sign_server(&request, &["shop.example"], day, now).unwrap();
    let server = Server {
        hosts: vec!["shop.example".to_owned()],
        certificate: ServerCertificate { chain: server.chain, key: Arc::new(key) },
        issued: now,
        not_after: server.not_after,
    };
    Held {
        svid: Arc::new(svid),
        bundle: Bundle::from_der(domain, vec![root.certificate().clone()]).unwrap(),
        control: "spiffe://shop.example/ns/ward-system/sa/ward-control".parse().unwrap(),
        servers: BTreeMap::from([(8443, server)]),
    }
}

#[test]
fn there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("a/b")).unwrap();
    assert!(state.identity("orders").unwrap().is_none());
    assert!(state.configuration().unwrap().is_none());
    let held = held();
    state.keep_identity(&held).unwrap();
    state.keep_identity(&held).unwrap();
    let again = state.identity("orders").unwrap().unwrap();
    assert_eq!((again.svid.id.clone(), again.control.clone()), (held.svid.id.clone(), held.control.clone()));
    assert_eq!((again.svid.chain.clone(), again.svid.not_after), (held.svid.chain.clone(), held.svid.not_after));
    assert_eq!(again.bundle.roots, held.bundle.roots);
    let (server, before) = (&again.servers[&8443], &held.servers[&8443]);
    assert_eq!((&server.hosts, server.issued, server.not_after), (&before.hosts, before.issued, before.not_after));
    assert_eq!(server.certificate.chain, before.certificate.chain);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("a/b")), 0o700);
    assert_eq!(mode(&folder.path().join("a/b/identity.json")), 0o600);
    state.keep_configuration(&Set::default()).unwrap();
    assert_eq!(state.configuration().unwrap(), Some(Set::default()));
    state.forget_configuration().unwrap();
    state.forget_configuration().unwrap();
    assert!(state.configuration().unwrap().is_none());

    let report = |sequence| ReportRequest { sequence, ..Default::default() };
    assert!(state.take_reports().unwrap().is_empty());
    state.keep_reports(&[report(1), report(2)]).unwrap();
    assert_eq!(state.take_reports().unwrap(), [report(1), report(2)]);
    assert!(state.take_reports().unwrap().is_empty());
    fs::write(folder.path().join("a/b/reports.bin"), [0xff; 5]).unwrap();
    assert!(matches!(state.take_reports(), Err(KeptError::Damaged { .. })));
    assert!(state.take_reports().unwrap().is_empty());
}

#[test]
fn damage_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    state.keep_identity(&held()).unwrap();
    let path = folder.path().join("identity.json");
    let whole = fs::read_to_string(&path).unwrap();
    let check = |text: &str| {
        fs::write(&path, text).unwrap();
        let error = state.identity("orders").err().unwrap().to_string();
        assert!(error.contains("identity.json") && error.contains("join again with a new token"), "{error}");
    };
    check("");
    check(&whole[..whole.len() / 2]);
    check(&whole.replace("ward-control", ""));
    // The key of another certificate.
    let other = csr::new().unwrap().0.to_pem().replace('\n', "\\n");
    let start = whole.find("-----BEGIN PRIVATE KEY").unwrap();
    let end = whole.find("-----END PRIVATE KEY-----\\n").unwrap() + "-----END PRIVATE KEY-----\\n".len();
    check(&format!("{}{other}{}", &whole[..start], &whole[end..]));
    fs::write(folder.path().join("configuration.json"), "{}").unwrap();
    assert!(matches!(state.configuration(), Err(KeptError::Damaged { .. })));
}

#[test]
fn a_failed_write_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    state.keep_configuration(&Set::default()).unwrap();
    let before = fs::read(folder.path().join("configuration.json")).unwrap();
    // The new file cannot be made where a directory stands in its place.
    fs::create_dir(folder.path().join("configuration.new")).unwrap();
    let error = state.keep_configuration(&Set::default()).unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
    assert_eq!(fs::read(folder.path().join("configuration.json")).unwrap(), before);
}
