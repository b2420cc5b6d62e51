//! What is signed, and what is not; judged by `identity`, by rustls and by openssl.
use std::{path::Path, process::Command, sync::Arc};

use identity::{Bundle, PrivateKey, ServerOptions, Svid, SvidError, client_config, csr, peer_id, server_config};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::{
    ClientConnection, RootCertStore, ServerConnection,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{ServerName, UnixTime},
    time_provider::TimeProvider,
};
use x509_parser::extensions::ParsedExtension;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);
const ORDERS: &str = "spiffe://shop.example/ns/shop/sa/orders";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn domain() -> TrustDomain {
    "shop.example".parse().unwrap()
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn authorities() -> (Authority, Authority) {
    let yesterday = now() - DAY;
    let root = Authority::generate_root(&domain(), 3_650 * DAY, yesterday).unwrap();
    let intermediate = root.sign_intermediate(&domain(), 365 * DAY, yesterday).unwrap();
    (root, intermediate)
}

fn svid(authority: &Authority, spiffe_id: &str) -> (Issued, Svid) {
    let (key, csr) = csr::new().unwrap();
    let issued = authority.sign_svid(&csr, &id(spiffe_id), HOUR, now()).unwrap();
    let svid = Svid::from_der(issued.chain.clone(), key).unwrap();
    (issued, svid)
}

fn bundle(root: &Authority) -> Bundle {
    Bundle::from_der(domain(), vec![root.certificate().clone()]).unwrap()
}

#[derive(Debug)]
struct At(SystemTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap()))
    }
}

/// Both present what they were signed, at a moment; `Err` is what the refusing side says.
fn handshake(client: &Svid, server: &Svid, bundle: &Bundle, moment: SystemTime) -> Result<(), String> {
    let options = ServerOptions { time: Some(Arc::new(At(moment))), ..ServerOptions::default() };
    let name = ServerName::try_from("peer").unwrap();
    let config = client_config(client, bundle, &server.id, &options).unwrap();
    let mut client = ClientConnection::new(config, name).unwrap();
    let mut server = ServerConnection::new(server_config(server, bundle, &options).unwrap()).unwrap();
    let mut wire = Vec::new();
    for _ in 0..10 {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut bytes = wire.as_slice();
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets().map_err(|error| format!("server: {error}"))?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut bytes = wire.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets().map_err(|error| format!("client: {error}"))?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
}

#[test]
fn signed_svids_shake_hands_until_they_expire() {
    let (root, intermediate) = authorities();
    let (_, orders) = svid(&intermediate, ORDERS);
    let (_, gateway) = svid(&intermediate, "spiffe://shop.example/ns/shop/sa/gateway");
    let bundle = bundle(&root);
    handshake(&gateway, &orders, &bundle, now()).unwrap();
    handshake(&gateway, &orders, &bundle, now() - BACKDATE).unwrap();
    handshake(&gateway, &orders, &bundle, now() + HOUR).unwrap();
    let late = handshake(&gateway, &orders, &bundle, now() + HOUR + Duration::from_secs(1)).unwrap_err();
    assert_eq!(late, "client: invalid peer certificate: Expired");
    let early = handshake(&gateway, &orders, &bundle, now() - BACKDATE - Duration::from_secs(1)).unwrap_err();
    assert_eq!(early, "client: invalid peer certificate: NotValidYet");
    // Another authority of the same name.
    let (_, foreign) = svid(&authorities().1, ORDERS);
    assert!(handshake(&gateway, &foreign, &bundle, now()).unwrap_err().starts_with("client: "));
    assert!(handshake(&foreign, &orders, &bundle, now()).unwrap_err().starts_with("server: "));
    // A root may sign directly; then the leaf stands alone.
    let (issued, direct) = svid(&root, ORDERS);
    assert_eq!(issued.chain.len(), 1);
    handshake(&gateway, &direct, &bundle, now()).unwrap();
}

#[test]
fn an_svid_says_what_it_must_and_nothing_from_the_request() {
    let (_, intermediate) = authorities();
    // A request that asks for everything.
    let key = KeyPair::generate().unwrap();
    let mut greedy = CertificateParams::new(["admin.shop.example".to_owned()]).unwrap();
    greedy.subject_alt_names.push(SanType::URI("spiffe://shop.example/ns/shop/sa/admin".try_into().unwrap()));
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let request = greedy.serialize_request(&key).unwrap();
    let issued = intermediate.sign_svid(request.der(), &id(ORDERS), HOUR, now()).unwrap();
    assert_eq!(peer_id(&issued.chain).unwrap(), id(ORDERS));
    assert_eq!(issued.not_before, now() - BACKDATE);
    assert_eq!(issued.not_after, now() + HOUR);
    let [leaf, between] = issued.chain.as_slice() else { panic!("leaf and intermediate") };
    assert_eq!(between, intermediate.certificate());
    let leaf = parse(leaf).unwrap();
    assert_eq!(leaf.subject().iter().count(), 0);
    assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
    let mut shown: Vec<String> = leaf
        .extensions()
        .iter()
        .map(|e| format!("{} critical={}", name_of(e.parsed_extension()), e.critical))
        .collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "authority key id critical=false",
            "basic constraints ca=false critical=true",
            "extended key usage server and client critical=false",
            "key usage Digital Signature critical=true",
            "names URI(spiffe://shop.example/ns/shop/sa/orders) critical=true",
            "subject key id critical=false",
        ]
    );
}

fn name_of(extension: &ParsedExtension<'_>) -> String {
    match extension {
        ParsedExtension::AuthorityKeyIdentifier(_) => "authority key id".to_owned(),
        ParsedExtension::SubjectKeyIdentifier(_) => "subject key id".to_owned(),
        ParsedExtension::BasicConstraints(basic) => format!("basic constraints ca={}", basic.ca),
        ParsedExtension::KeyUsage(usage) => format!("key usage {usage}"),
        ParsedExtension::ExtendedKeyUsage(usage) => {
            assert!(usage.server_auth && usage.client_auth && !usage.any);
            "extended key usage server and client".to_owned()
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            let names: Vec<String> = names.general_names.iter().map(ToString::to_string).collect();
            format!("names {}", names.join(" "))
        }
        other => panic!("unexpected extension {other:?}"),
    }
}

#[test]
fn serials_are_random_and_never_beyond_the_issuers_end() {
    let (root, _) = authorities();
    let short = root.sign_intermediate(&domain(), HOUR, now()).unwrap();
    let (key, csr) = csr::new().unwrap();
    let first = short.sign_svid(&csr, &id(ORDERS), DAY, now()).unwrap();
    let second = short.sign_svid(&csr, &id(ORDERS), DAY, now()).unwrap();
    assert_eq!(first.not_after, now() + HOUR);
    assert_ne!(first.serial, second.serial);
    assert_eq!(parse(first.chain.first().unwrap()).unwrap().serial.to_bytes_be(), without_zeros(&first.serial));
    let same = Svid::from_der(first.chain, key).unwrap();
    assert_eq!(same.not_after, now() + HOUR);
    let later = root.sign_intermediate(&domain(), 36_500 * DAY, now()).unwrap();
    assert_eq!(later.not_after(), root.not_after());
    let after = short.sign_svid(&csr, &id(ORDERS), DAY, now() + HOUR);
    assert!(matches!(after, Err(AuthorityError::Expired)));
    assert!(matches!(short.sign_svid(&csr, &id(ORDERS), Duration::ZERO, now()), Err(AuthorityError::NoLife)));
    assert!(matches!(short.sign_intermediate(&domain(), DAY, now()), Err(AuthorityError::PathLength)));
}

fn without_zeros(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// What `ward verify` presents to see it refused.
#[test]
fn an_expired_svid_can_be_signed_on_purpose() {
    let (root, intermediate) = authorities();
    let (key, csr) = csr::new().unwrap();
    let issued = intermediate.sign_svid(&csr, &id(ORDERS), HOUR, now() - 2 * HOUR).unwrap();
    let expired = Svid::from_der(issued.chain, key).unwrap();
    let (_, orders) = svid(&intermediate, ORDERS);
    let refused = handshake(&expired, &orders, &bundle(&root), now()).unwrap_err();
    assert_eq!(refused, "server: invalid peer certificate: Expired");
}

#[test]
fn requests_refused() {
    let (_, intermediate) = authorities();
    let check =
        |csr: &[u8], expected: RequestError| match intermediate.sign_svid(csr, &id(ORDERS), HOUR, now()).map(|_| ()) {
            Err(AuthorityError::Request(actual)) => assert_eq!(actual, expected),
            other => panic!("{other:?}, expected {expected:?}"),
        };
    let (_, good) = csr::new().unwrap();
    check(b"", RequestError::Der);
    check(&good[..good.len() - 1], RequestError::Der);
    check(&[good.as_slice(), &[0]].concat(), RequestError::Der);
    check(&vec![0x30; 8 * 1024 + 1], RequestError::TooLong(8 * 1024 + 1));
    check(&vec![0x30; 8 * 1024], RequestError::Der);
    // One bit of the signature, and one of the key: the sender does not hold that key.
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    check(&forged, RequestError::Signature);
    let (_, other) = csr::new().unwrap();
    let point = good.windows(4).position(|w| w == [0x03, 0x42, 0x00, 0x04]).unwrap() + 4;
    let mut swapped = good.clone();
    swapped[point..point + 64].copy_from_slice(&other[point..point + 64]);
    check(&swapped, RequestError::Signature);
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        check(request.der(), RequestError::KeyType);
    }
}

#[test]
fn a_server_certificate_is_for_its_hosts_and_never_an_identity() {
    let (root, intermediate) = authorities();
    let (_, csr) = csr::new().unwrap();
    let hosts = ["Shop.example", "*.shop.example", "127.0.0.1"];
    let issued = intermediate.sign_server(&csr, &hosts, 90 * DAY, now()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(root.certificate().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let browser = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let [leaf, rest @ ..] = issued.chain.as_slice() else { panic!("no chain") };
    let moment = At(now()).current_time().unwrap();
    let accepts = |host: &'static str| {
        browser.verify_server_cert(leaf, rest, &ServerName::try_from(host).unwrap(), &[], moment).is_ok()
    };
    for host in ["shop.example", "www.shop.example", "127.0.0.1"] {
        assert!(accepts(host), "{host}");
    }
    for host in ["evil.example", "a.b.shop.example", "127.0.0.2"] {
        assert!(!accepts(host), "{host}");
    }
    assert!(matches!(peer_id(&issued.chain), Err(SvidError::ExtendedKeyUsage)));
    let refused = |hosts: &[&str]| intermediate.sign_server(&csr, hosts, DAY, now()).map(|_| ()).unwrap_err();
    for bad in ["", "a b", "shop..example", "-shop.example", "shop.*.example", "*", "shop.example\0", "höst", ".shop"]
    {
        assert!(matches!(refused(&[bad]), AuthorityError::ServerName(_)), "{bad}");
    }
    assert!(matches!(refused(&[]), AuthorityError::ServerNameCount(0)));
    assert!(matches!(refused(&["a"; 101]), AuthorityError::ServerNameCount(101)));
    assert!(intermediate.sign_server(&csr, &["a"; 100], DAY, now()).is_ok());
}

#[test]
fn kept_and_read_again() {
    let (root, intermediate) = authorities();
    let kept = intermediate.to_pem();
    let again = Authority::from_pem(&kept.chain, &kept.key).unwrap();
    assert_eq!(again.chain(), intermediate.chain());
    assert_eq!(again.not_after(), intermediate.not_after());
    let (_, old) = svid(&intermediate, ORDERS);
    let (issued, new) = svid(&again, ORDERS);
    assert_eq!(issued.chain.len(), 2);
    handshake(&new, &old, &bundle(&root), now()).unwrap();
    let root_again = Authority::from_pem(&root.to_pem().chain, &root.to_pem().key).unwrap();
    assert_eq!(root_again.sha256(), root.sha256());
    assert!(root_again.sign_intermediate(&domain(), DAY, now()).is_ok());

    let refused = |chain: &str, key: &str| Authority::from_pem(chain, key).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused(&kept.chain, &root.to_pem().key), "kept certificate belongs to another key");
    assert_eq!(refused("", &kept.key), "kept certificate is missing");
    assert_eq!(refused(&kept.chain, "no key"), "kept authority is not valid PEM");
    let (key, csr) = csr::new().unwrap();
    let leaf = intermediate.sign_svid(&csr, &id(ORDERS), HOUR, now()).unwrap();
    let leaf = identity::certificates_to_pem(&leaf.chain);
    assert_eq!(refused(&leaf, &key.to_pem()), "kept certificate is not an authority's");
}

/// An outside opinion: openssl builds the same path and reads the same names.
#[test]
fn openssl_agrees() {
    let (root, intermediate) = authorities();
    let (key, csr) = csr::new().unwrap();
    let issued = intermediate.sign_svid(&csr, &id(ORDERS), HOUR, now()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("root.pem", &identity::certificates_to_pem(&[root.certificate().clone()]));
    write("between.pem", &identity::certificates_to_pem(&[intermediate.certificate().clone()]));
    write("leaf.pem", &identity::certificates_to_pem(&issued.chain[..1]));
    write("key.pem", &key.to_pem());
    write("csr.der.pem", &csr_pem(&csr));
    let moment = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string();
    for purpose in ["sslserver", "sslclient"] {
        let arguments = ["verify", "-x509_strict", "-attime", &moment, "-purpose", purpose];
        let files = ["-CAfile", "root.pem", "-untrusted", "between.pem", "leaf.pem"];
        assert_eq!(openssl(folder.path(), &[arguments.as_slice(), &files].concat()), "leaf.pem: OK\n");
    }
    let names = openssl(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-ext", "subjectAltName"]);
    assert!(names.contains("critical") && names.contains(&format!("URI:{ORDERS}")), "{names}");
    let of_leaf = openssl(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-pubkey"]);
    assert_eq!(openssl(folder.path(), &["pkey", "-in", "key.pem", "-pubout"]), of_leaf);
    assert_eq!(openssl(folder.path(), &["req", "-in", "csr.der.pem", "-noout", "-pubkey", "-verify"]), of_leaf);
}

fn csr_pem(der: &[u8]) -> String {
    // The same base64, another label.
    let certificate = CertificateDer::from(der.to_vec());
    identity::certificates_to_pem(&[certificate]).replace("CERTIFICATE", "CERTIFICATE REQUEST")
}

fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl runs");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn keys_are_p256() {
    let (root, _) = authorities();
    let key = PrivateKey::from_pem(&root.to_pem().key).unwrap();
    assert!(rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(key.der()).is_ok());
    assert_eq!(root.issuer.key().algorithm(), &PKCS_ECDSA_P256_SHA256);
}
