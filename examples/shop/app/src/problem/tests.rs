//! A refusal names fields and never quotes values.
use super::*;

#[test]
fn a_fault_names_the_field_and_no_value() {
    let check = |text: &str, expected: Option<&str>| assert_eq!(shape_fault(text), expected);
    check("Failed to …: missing field `sku` at line 1 column 2", Some("missing field `sku`"));
    check("…: card: unknown field `pin`, expected one of `number`, `expiry`", Some("unknown field `pin`"));
    check("…: card.number: invalid type: integer `4242424242424242`, expected a string", None);
    check("…: card.number: not a card number at line 1 column 7", Some("card.number: not a card number"));
    check("missing field `unterminated", None);
}

#[test]
fn unauthorized_says_how_and_unavailable_says_when() {
    let response = Problem::unauthorized("who?").into_response();
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(Problem::unavailable("later").into_response().headers()[header::RETRY_AFTER], "1");
}
