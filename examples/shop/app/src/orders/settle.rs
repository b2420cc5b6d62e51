//! Settles orders that nobody works on any more: a service died half-way, or an answer was lost. The card number is gone,
//! so nothing is charged here: an order that was charged is placed, any other gives its stock back.
use std::time::Duration;

use axum::http::{Method, StatusCode};

use super::{Order, Shop, state::OrderState};
use crate::{
    context::Context,
    payments::{Charge, ChargeState},
    problem::Problem,
};

const PAUSE: Duration = Duration::from_secs(15);

/// Looks for dead attempts, for ever. An order that cannot be settled now is looked at again when its claim is stale.
pub(super) async fn forever(shop: Shop) {
    loop {
        match shop.ledger.take_up(None).await {
            Ok(Some(order)) => {
                let id = order.id.clone();
                match settle(&shop, order).await {
                    Ok(order) => tracing::info!(order = id, state = order.state.as_str(), "order settled"),
                    Err(_) => tracing::warn!(order = id, "order cannot be settled yet"),
                }
            }
            // A database that does not answer is logged where the error is made; nothing to do but wait.
            Ok(None) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn settle(shop: &Shop, order: Order) -> Result<Order, Problem> {
    let context = Context::background();
    let path = format!("/charges/{}", order.id);
    let answer = shop.upstreams.payments.call(&context, Method::GET, &path, None, None::<&()>).await;
    match answer {
        Ok(answer) if answer.status == StatusCode::OK => match answer.json::<Charge>()?.state {
            ChargeState::Charged => shop.ledger.end(order, OrderState::Placed).await,
            ChargeState::Declined => shop.give_up(&context, order, OrderState::Declined).await,
        },
        Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
            shop.give_up(&context, order, OrderState::Abandoned).await
        }
        _ => Err(super::unknown_outcome()),
    }
}
