//! The life of an order, as pure functions: what each step's answer makes of it, and what a repeated request gets.
use std::str::FromStr;

use axum::http::StatusCode;
use serde::Serialize;

/// Where an order stands. All but `Placing` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OrderState {
    /// Begun; how it ends is not known yet.
    Placing,
    /// Stock reserved, card charged.
    Placed,
    /// The card was declined; the stock was given back.
    Declined,
    /// There is no such article.
    UnknownSku,
    /// Not enough of it.
    OutOfStock,
    /// It could not be charged for another reason; the stock was given back.
    Abandoned,
}

const WORDS: [(OrderState, &str); 6] = [
    (OrderState::Placing, "placing"),
    (OrderState::Placed, "placed"),
    (OrderState::Declined, "declined"),
    (OrderState::UnknownSku, "unknown-sku"),
    (OrderState::OutOfStock, "out-of-stock"),
    (OrderState::Abandoned, "abandoned"),
];

impl OrderState {
    /// The word in the database and in answers.
    pub(crate) fn as_str(self) -> &'static str {
        WORDS.iter().find(|(state, _)| *state == self).map_or("placing", |(_, word)| word)
    }

    /// How a customer is told that there is no order, if there is none.
    pub(crate) fn refusal(self) -> Option<(StatusCode, &'static str)> {
        match self {
            Self::Placed => None,
            Self::Placing => Some((StatusCode::CONFLICT, "the order is still being placed")),
            Self::Declined => Some((StatusCode::PAYMENT_REQUIRED, "the card was declined; nothing was charged")),
            Self::UnknownSku => Some((StatusCode::NOT_FOUND, "no such article")),
            Self::OutOfStock => Some((StatusCode::CONFLICT, "not enough in stock")),
            Self::Abandoned => Some((StatusCode::BAD_GATEWAY, "the order failed; nothing was charged")),
        }
    }
}

/// A word that is no state.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no state of an order")]
pub(crate) struct UnknownState(String);

impl FromStr for OrderState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        WORDS.iter().find(|(_, word)| *word == text).map(|(state, _)| *state).ok_or(UnknownState(text.to_owned()))
    }
}

/// The end of an order whose reservation was refused; `None` when it may have been made.
pub(crate) fn after_refused_reservation(status: StatusCode) -> Option<OrderState> {
    match status {
        StatusCode::NOT_FOUND => Some(OrderState::UnknownSku),
        StatusCode::CONFLICT => Some(OrderState::OutOfStock),
        status if status.is_client_error() => Some(OrderState::Abandoned),
        _ => None,
    }
}

/// The end of an order after the answer to its charge; `None` when the card may have been charged.
pub(crate) fn after_charge(status: StatusCode) -> Option<OrderState> {
    match status {
        StatusCode::PAYMENT_REQUIRED => Some(OrderState::Declined),
        status if status.is_success() => Some(OrderState::Placed),
        // An earlier attempt used this id for another card: what became of that one is for `settle` to find out.
        StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => None,
        // Any other refusal (the mesh's 403 too) came before the charge.
        status if status.is_client_error() => Some(OrderState::Abandoned),
        _ => None,
    }
}

/// What a request means when its idempotency key was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The order is over: tell again how it ended.
    Over,
    /// The first attempt is still at work, or may be.
    Busy,
    /// The first attempt stopped or is dead: take it up.
    TakeUp,
    /// Another order under the same key.
    Different,
}

/// Judges a repeated request: whether it asks for the `same` thing, where that order stands, and whether it is `free`,
/// because its last attempt said that it stopped or is older than any attempt can live.
pub(crate) fn judge_repeat(same: bool, state: OrderState, free: bool) -> Repeat {
    match (same, state, free) {
        (false, _, _) => Repeat::Different,
        (true, OrderState::Placing, true) => Repeat::TakeUp,
        (true, OrderState::Placing, false) => Repeat::Busy,
        (true, _, _) => Repeat::Over,
    }
}
