//! Addresses that may be asked for keys, and those that may not.
use super::{KeyAddress, KeyAddressError, Reach};

#[test]
fn addresses() {
    for (text, host, loopback) in [
        ("https://login.example/keys", "login.example", false),
        ("https://LOGIN.example:8443/keys?x=1", "login.example", false),
        ("https://localhost:8443/.well-known/jwks.json", "localhost", true),
        ("http://127.0.0.1:80", "127.0.0.1", true),
        ("http://[::1]:80/k", "::1", true),
        ("https://10.0.0.1/k", "10.0.0.1", false),
    ] {
        let found = KeyAddress::parse(text).unwrap();
        assert_eq!((found.host.as_str(), found.is_loopback()), (host, loopback), "{text}");
    }
    use KeyAddressError::{Character, Host, Plaintext, Scheme, User};
    for (text, error) in [
        ("login.example/keys", Scheme),
        ("file:///etc/passwd", Scheme),
        ("HTTPS://login.example", Scheme),
        ("https://", Host),
        ("https:///keys", Host),
        ("https://login.example:0/", Host),
        ("https://login.example:99999/", Host),
        ("https://login.example:x/", Host),
        ("https://[::1/", Host),
        ("https://[zz]/", Host),
        ("https://me:secret@login.example/", User),
        ("https://login.example/a b", Character),
        ("https://login.example/#x", Character),
        ("https://login.example\\@10.0.0.1/", Character),
        ("http://login.example/keys", Plaintext),
        // Names below localhost are for a resolver to decide.
        ("http://x.localhost/keys", Plaintext),
        ("http://10.0.0.1/keys", Plaintext),
    ] {
        assert_eq!(KeyAddress::parse(text), Err(error), "{text}");
    }
}

#[test]
fn reaches() {
    for (reach, addresses) in [
        (
            Reach::Public,
            &["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "::ffff:1.1.1.1", "2002:101:101::1"][..],
        ),
        (
            Reach::Private,
            &[
                "127.0.0.1",
                "127.8.8.8",
                "10.1.2.3",
                "172.16.0.1",
                "192.168.0.1",
                "100.64.0.1",
                "198.18.0.1",
                "::1",
                "fd12::1",
                "::ffff:10.0.0.1",
                "64:ff9b::10.0.0.1",
                "2002:a00:1::1",
                "fec0::1",
                "2001:db8::1",
            ],
        ),
        (
            Reach::Never,
            &[
                "169.254.169.254",
                "0.0.0.0",
                "0.1.2.3",
                "224.0.0.1",
                "255.255.255.255",
                "::",
                "fe80::1",
                "ff02::1",
                "::ffff:169.254.169.254",
                "64:ff9b::169.254.169.254",
                "2002:a9fe:a9fe::1",
                "fd00:ec2::254",
            ],
        ),
    ] {
        for address in addresses {
            assert_eq!(Reach::of(address.parse().unwrap()), reach, "{address}");
        }
    }
}
