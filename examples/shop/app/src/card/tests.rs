//! Which numbers are cards, and that no card shows more than four digits.
use super::*;

#[test]
fn takes_card_numbers_and_nothing_else() {
    let check = |text: &str, good: bool| assert_eq!(Pan::try_from(text.to_owned()).is_ok(), good, "{text}");
    for good in ["4242424242424242", "4242 4242-4242 4242", "4000000000000002", "378282246310005", "6304000000000000"] {
        check(good, true);
    }
    check("4242424242424241", false); // wrong check digit
    check("2424242424242424", false); // neighbours swapped
    check("", false);
    check("00000000000", false); // 11 digits
    check("000000000000", true); // 12
    check("0000000000000000000", true); // 19
    check("00000000000000000000", false); // 20
    check("4242x4242424242424242", false);
    check("４２４２424242424242", false); // full-width digits
}

#[test]
fn shows_the_last_four_digits_only() {
    let card: Card = serde_json::from_str(r#"{"number":"4242424242424242","expiry":"12/30","cvc":"987"}"#).unwrap();
    let shown = format!("{card:?}");
    assert!(shown.contains("****4242"), "{shown}");
    assert!(!shown.contains("42424242") && !shown.contains("987"), "{shown}");
    assert_eq!(card.number.last4(), "4242");
    assert_eq!(Pan::try_from("4242424242424241".to_owned()).unwrap_err().to_string(), "not a card number");
}

#[test]
fn checks_expiry_and_code() {
    let check = |expiry: &str, cvc: &str, good: bool| {
        let text = format!(r#"{{"number":"4242424242424242","expiry":"{expiry}","cvc":"{cvc}"}}"#);
        let card: Card = serde_json::from_str(&text).unwrap();
        assert_eq!(card.check().is_ok(), good, "{expiry} {cvc}");
    };
    check("01/30", "123", true);
    check("12/30", "1234", true);
    check("00/30", "123", false);
    check("13/30", "123", false);
    check("1/30", "123", false);
    check("12/2030", "123", false);
    check("12-30", "123", false);
    check("12/30", "12", false);
    check("12/30", "12345", false);
    check("12/30", "12a", false);
}
