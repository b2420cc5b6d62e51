//! The pure half: states, repeats, keys.
use super::*;
use state::{Repeat, after_charge, after_refused_reservation, judge_repeat};

const STATES: [OrderState; 6] = [
    OrderState::Placing,
    OrderState::Placed,
    OrderState::Declined,
    OrderState::UnknownSku,
    OrderState::OutOfStock,
    OrderState::Abandoned,
];

#[test]
fn a_state_survives_the_database_and_reads_alike_in_json() {
    for state in STATES {
        assert_eq!(state.as_str().parse::<OrderState>().unwrap(), state);
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    assert!("paid".parse::<OrderState>().is_err());
}

#[test]
fn only_a_certain_refusal_ends_an_order() {
    let reservation = |status: u16| after_refused_reservation(StatusCode::from_u16(status).unwrap());
    assert_eq!(reservation(404), Some(OrderState::UnknownSku));
    assert_eq!(reservation(409), Some(OrderState::OutOfStock));
    assert_eq!(reservation(403), Some(OrderState::Abandoned));
    assert_eq!(reservation(503), None);

    let charge = |status: u16| after_charge(StatusCode::from_u16(status).unwrap());
    assert_eq!(charge(201), Some(OrderState::Placed));
    assert_eq!(charge(402), Some(OrderState::Declined));
    assert_eq!(charge(403), Some(OrderState::Abandoned));
    for unknown in [408, 409, 429, 500, 502, 503, 504] {
        assert_eq!(charge(unknown), None, "{unknown}");
    }
}

#[test]
fn a_repeated_request_orders_once() {
    for state in STATES {
        assert_eq!(judge_repeat(false, state, true), Repeat::Different);
        assert_eq!(judge_repeat(false, state, false), Repeat::Different);
    }
    assert_eq!(judge_repeat(true, OrderState::Placing, false), Repeat::Busy);
    assert_eq!(judge_repeat(true, OrderState::Placing, true), Repeat::TakeUp);
    for over in &STATES[1..] {
        assert_eq!(judge_repeat(true, *over, true), Repeat::Over);
        assert_eq!(judge_repeat(true, *over, false), Repeat::Over);
    }
}

#[test]
fn every_end_but_placed_is_told_as_a_refusal() {
    for state in STATES {
        assert_eq!(state.refusal().is_none(), state == OrderState::Placed, "{state:?}");
    }
}

#[test]
fn an_order_needs_a_key() {
    let key = |value: &str| {
        let headers = HeaderMap::from_iter([(IDEMPOTENCY_KEY, value.parse().unwrap())]);
        idempotency_key(&headers).is_ok()
    };
    assert!(key("1") && key(&"k".repeat(128)));
    assert!(!key("") && !key(&"k".repeat(129)));
    assert!(idempotency_key(&HeaderMap::new()).is_err());
}
