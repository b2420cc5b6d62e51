//! The text that Prometheus reads.
use super::*;

#[test]
fn counters_and_histograms() {
    let mut text = Text::new();
    text.family("a_total", Kind::Counter, "How many.");
    text.sample("a_total", &[("who", "a\"b\\c\nd")], 3.0);
    text.family("d", Kind::Histogram, "How long.");
    text.histogram("d", &[("x", "y")], &[0.5, 1.0], &[1, 0, 2], 9.5);
    assert_eq!(
        text.finish(),
        "# HELP a_total How many.\n# TYPE a_total counter\na_total{who=\"a\\\"b\\\\c\\nd\"} 3\n\
         # HELP d How long.\n# TYPE d histogram\nd_bucket{x=\"y\",le=\"0.5\"} 1\nd_bucket{x=\"y\",le=\"1\"} 1\n\
         d_bucket{x=\"y\",le=\"+Inf\"} 3\nd_sum{x=\"y\"} 9.5\nd_count{x=\"y\"} 3\n"
    );
}
