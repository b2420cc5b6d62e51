//! The tables, looked up.
use super::*;

#[test]
fn lookup_ignores_case_and_knows_prefixes() {
    let action = |side, name: &str| REQUEST_INDEX.action(side, name.as_bytes());
    assert_eq!(action(Side::Gateway, "X-Forwarded-For"), Action::Set);
    assert_eq!(action(Side::Inbound, "x-forwarded-for"), Action::Keep);
    assert_eq!(action(Side::Gateway, "X-Envoy-Original-Path"), Action::Remove);
    assert_eq!(action(Side::Inbound, "x-ward-anything"), Action::Remove);
    assert_eq!(action(Side::Outbound, "Ward-Probe"), Action::Remove);
    assert_eq!(action(Side::Gateway, "X-HTTP-Method-Override"), Action::Remove, "the method was decided on");
    assert_eq!(action(Side::Outbound, "accept"), Action::Keep);
    assert_eq!(action(Side::Outbound, "x-"), Action::Keep);
    assert_eq!(action(Side::Inbound, "X-Forwarded-Client-Cert"), Action::Set);
}

#[test]
fn underscores_are_no_way_around_a_row() {
    let action = |side, name: &str| REQUEST_INDEX.action(side, name.as_bytes());
    for name in [
        "x_forwarded_for",
        "X_Forwarded-For",
        "x_real-ip",
        "x_envoy_original_path",
        "x_ward_anything",
        "X-Http_Method-Override",
    ] {
        assert_eq!(action(Side::Gateway, name), Action::Remove, "{name}");
    }
    for side in [Side::Gateway, Side::Outbound, Side::Inbound] {
        for name in ["X_FORWARDED_CLIENT_CERT", "content_length", "transfer_encoding", "ward_probe", "x_ward_a"] {
            assert_eq!(action(side, name), Action::Remove, "{name}");
        }
        assert_eq!(action(side, &format!("x_ward_{}", "a".repeat(200))), Action::Remove);
        for name in ["x_custom", "_", "x_", &"_".repeat(200)] {
            assert_eq!(action(side, name), Action::Keep, "{name}");
        }
    }
    assert_eq!(action(Side::Inbound, "x_forwarded_for"), Action::Keep, "as x-forwarded-for is");
    assert!(REQUEST.iter().chain(RESPONSE).all(|row| row.name.len() < LOOKALIKE_BYTES_MAX && !row.name.contains('_')));
}

#[test]
fn every_prefix_begins_with_x() {
    for row in REQUEST.iter().chain(RESPONSE).filter(|r| r.name.ends_with('*')) {
        assert!(row.name.starts_with("x-"), "{}", row.name);
    }
}

#[test]
fn traceparent_well_formed() {
    assert!(is_traceparent(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    for bad in [
        "",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
    ] {
        assert!(!is_traceparent(bad.as_bytes()), "{bad}");
    }
}
