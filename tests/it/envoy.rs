//! Differential tests with a real Envoy: policy sets, generated and made by hand, go through our encoder into Envoy and
//! through the engine; the same requests are asked of both. By Istio's reading the answers must be the same; by Ward's a
//! request that Envoy refuses may pass only for a reason that docs/policy.md lists.
//!
//! `WARD_SEED` repeats a run, `WARD_DECISIONS` says how long it is; `make parity` is the long one.
mod cases;
mod certificates;
mod compare;
mod differences;
mod exchange;
mod policies;
mod random;
mod requests;
mod server;
mod tokens;
mod written;

#[test]
fn generated_policies_decide_as_envoy_does() {
    compare::generated();
}

#[test]
fn policies_made_by_hand_decide_as_envoy_does() {
    compare::written(written::subjects());
}

#[test]
fn what_is_known_to_differ_still_does() {
    compare::written(written::known());
}
