//! Durations as people write them.
use super::seconds;

#[test]
fn durations_have_a_number_and_a_unit() {
    for (text, good) in
        [("90s", Some(90)), ("10m", Some(600)), ("1h", Some(3_600)), ("7d", Some(604_800)), ("0s", Some(0))]
    {
        assert_eq!(seconds(text).ok(), good, "{text}");
    }
    for text in ["", "10", "m", "1.5h", "-1s", "1 h", "1w", "999999999999999999d", "1µ"] {
        assert!(seconds(text).unwrap_err().contains("as in 10m"), "{text}");
    }
}
