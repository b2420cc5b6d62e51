//! Each missing or malformed variable is named with its remedy.
use super::*;

fn with(pairs: &'static [(&str, &str)]) -> Settings {
    Settings::new(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn listens_on_loopback_unless_told() {
    assert_eq!(with(&[("PORT", "8080")]).listen(), Ok(([127, 0, 0, 1], 8080).into()));
    assert_eq!(with(&[("PORT", "0"), ("HOST", "127.9.0.2")]).listen(), Ok(([127, 9, 0, 2], 0).into()));
}

#[test]
fn names_the_variable_and_the_remedy() {
    let check = |error: SettingsError, parts: &[&str]| {
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    };
    check(with(&[]).listen().unwrap_err(), &["PORT is not set", "PORT=8080"]);
    check(with(&[("PORT", "")]).listen().unwrap_err(), &["PORT is not set"]);
    check(with(&[("PORT", "65536")]).listen().unwrap_err(), &["PORT is `65536`", "0 to 65535"]);
    check(with(&[("PORT", "1"), ("HOST", "localhost")]).listen().unwrap_err(), &["HOST is `localhost`"]);
    check(with(&[]).database("orders").unwrap_err(), &["WARD_ORDERS_DB_ADDR is not set", "a flow to `orders-db`"]);
    check(with(&[("WARD_ORDERS_DB_ADDR", "orders-db")]).database("orders").unwrap_err(), &["`orders-db`", "ip:port"]);
    check(with(&[]).upstream("payments").err().unwrap(), &["WARD_PAYMENTS_URL is not set", "a flow to `payments`"]);
    check(
        with(&[("WARD_PAYMENTS_URL", "https://payments")]).upstream("payments").err().unwrap(),
        &["WARD_PAYMENTS_URL is `https://payments`", "http://"],
    );
}

#[test]
fn finds_the_password_where_the_store_writes_it() {
    const ADDRESS: (&str, &str) = ("WARD_ORDERS_DB_ADDR", "127.0.0.1:5432");
    let file = |pairs| with(pairs).database("orders").unwrap().password_file;
    assert_eq!(file(&[ADDRESS]), PathBuf::from(".ward/data/orders-db/password"));
    assert_eq!(file(&[ADDRESS, ("WARD_STATE_DIR", "/s")]), PathBuf::from("/s/data/orders-db/password"));
    assert_eq!(file(&[ADDRESS, ("SHOP_DB_PASSWORD_FILE", "/p")]), PathBuf::from("/p"));
}
