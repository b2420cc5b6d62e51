//! Orders: turns a request into reserved stock, a charged card and a row, or into none of the three.
//!
//! The order's id names the reservation and the charge as well, so every step can be asked for again without happening
//! twice. A step that certainly failed ends the order and gives back what it held. A step whose outcome is not known
//! (no answer, a dying service) leaves the order `placing`: the customer may send the request again under the same
//! `idempotency-key`, and what nobody asks for again is settled in the background.
mod ledger;
mod settle;
mod state;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use crate::{
    authentication::User,
    call::Upstream,
    card::Card,
    context::{Context, bearer},
    inventory::{NewReservation, QUANTITY_MAX, Reservation},
    payments::NewCharge,
    problem::{Input, Problem},
    serve,
    settings::Settings,
};
use ledger::{Claim, Ledger};
use state::OrderState;

const SCHEMA: &str = include_str!("orders/schema.sql");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Runs the service.
pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let database = settings.database("orders")?;
    let upstreams = Upstreams {
        authentication: settings.upstream("authentication")?,
        inventory: settings.upstream("inventory")?,
        payments: settings.upstream("payments")?,
    };
    let shop = |pool| Shop { ledger: Ledger::new(pool), upstreams: upstreams.clone() };
    let routes = |pool| {
        Router::new().route("/orders", post(place).get(list)).route("/orders/{id}", get(show)).with_state(shop(pool))
    };
    serve::run(settings, &database, SCHEMA, routes, |pool| settle::forever(shop(pool))).await
}

#[derive(Clone)]
struct Shop {
    ledger: Ledger,
    upstreams: Upstreams,
}

#[derive(Clone)]
struct Upstreams {
    authentication: Upstream,
    inventory: Upstream,
    payments: Upstream,
}

/// What a customer orders.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    sku: String,
    quantity: i32,
    card: Card,
}

/// What is kept of it: the card is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Order {
    id: String,
    sku: String,
    quantity: i32,
    /// Total, known once the stock is reserved.
    amount_cents: Option<i64>,
    state: OrderState,
    created_at: String,
}

async fn place(
    State(shop): State<Shop>,
    context: Context,
    headers: HeaderMap,
    Input(new): Input<NewOrder>,
) -> Result<Response, Problem> {
    let user = shop.authenticate(&context, &headers).await?;
    let key = idempotency_key(&headers)?;
    if !(1..=64).contains(&new.sku.len()) || !(1..=QUANTITY_MAX).contains(&new.quantity) {
        let detail = format!("sku must have 1 to 64 bytes and quantity must be 1 to {QUANTITY_MAX}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    new.card.check()?;
    let order = match shop.ledger.claim(&user.id, key, &new.sku, new.quantity).await? {
        Claim::Ours(order) => order,
        Claim::Over(order) => return Ok(answer(order, StatusCode::OK)),
        Claim::Busy => {
            return Err(Problem::new(StatusCode::CONFLICT, "this order is being placed; ask again in a minute"));
        }
        Claim::Different => {
            let detail = "this idempotency-key was used for another order; choose a new one";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
    };
    let id = order.id.clone();
    let order = match shop.attempt(&context, order, new.card).await {
        Ok(order) => order,
        Err(problem) => {
            // If this fails as well, the claim goes stale by itself.
            let _ = shop.ledger.stopped(&id).await;
            return Err(problem);
        }
    };
    Ok(answer(order, StatusCode::CREATED))
}

async fn show(
    State(shop): State<Shop>,
    context: Context,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Order>, Problem> {
    let user = shop.authenticate(&context, &headers).await?;
    // Another customer's order is as unknown as one that does not exist.
    let order = shop.ledger.find(&user.id, &id).await?;
    order.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no such order"))
}

#[derive(Serialize)]
struct Orders {
    orders: Vec<Order>,
}

async fn list(State(shop): State<Shop>, context: Context, headers: HeaderMap) -> Result<Json<Orders>, Problem> {
    let user = shop.authenticate(&context, &headers).await?;
    Ok(Json(Orders { orders: shop.ledger.newest(&user.id).await? }))
}

impl Shop {
    /// Asks authentication whose token this is.
    async fn authenticate(&self, context: &Context, headers: &HeaderMap) -> Result<User, Problem> {
        let token = bearer(headers)?;
        let answer =
            self.upstreams.authentication.call(context, Method::GET, "/verify", Some(token), None::<&()>).await;
        match answer {
            Ok(answer) if answer.status == StatusCode::OK => answer.json(),
            Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => {
                Err(Problem::unauthorized("the session is unknown or over; log in again"))
            }
            _ => Err(Problem::unavailable("nobody can be authenticated at the moment; try again")),
        }
    }

    /// Reserves, charges and records. Any error leaves the order `placing`.
    async fn attempt(&self, context: &Context, order: Order, card: Card) -> Result<Order, Problem> {
        let new = NewReservation { id: order.id.clone(), sku: order.sku.clone(), quantity: order.quantity };
        let answer = self.upstreams.inventory.call(context, Method::POST, "/reservations", None, Some(&new)).await;
        let reservation: Reservation = match answer {
            Ok(answer) if answer.status.is_success() => answer.json()?,
            Ok(answer) => match state::after_refused_reservation(answer.status) {
                Some(end) => return self.ledger.end(order, end).await,
                None => return Err(unknown_outcome()),
            },
            Err(_) => return Err(unknown_outcome()),
        };
        let amount = reservation.price_cents.checked_mul(i64::from(order.quantity)).ok_or_else(Problem::internal)?;
        let order = self.ledger.priced(order, amount).await?;

        let charge = NewCharge { id: order.id.clone(), amount_cents: amount, card };
        match self.upstreams.payments.call(context, Method::POST, "/charges", None, Some(&charge)).await {
            Ok(answer) => match state::after_charge(answer.status) {
                Some(OrderState::Placed) => self.ledger.end(order, OrderState::Placed).await,
                Some(end) => self.give_up(context, order, end).await,
                None => Err(unknown_outcome()),
            },
            Err(_) => Err(unknown_outcome()),
        }
    }

    /// Gives the stock back, then ends the order. In this order: if inventory is away, the order stays `placing` and the
    /// background work comes back to it.
    async fn give_up(&self, context: &Context, order: Order, end: OrderState) -> Result<Order, Problem> {
        let path = format!("/reservations/{}", order.id);
        match self.upstreams.inventory.call(context, Method::DELETE, &path, None, None::<&()>).await {
            // 404: nothing was held.
            Ok(answer) if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND => {
                self.ledger.end(order, end).await
            }
            _ => Err(unknown_outcome()),
        }
    }
}

fn unknown_outcome() -> Problem {
    Problem::unavailable("the order is not placed yet; send it again with the same idempotency-key")
}

/// How an order that is over is told: `placed` is its status when it was placed.
fn answer(order: Order, placed: StatusCode) -> Response {
    match order.state.refusal() {
        None => (placed, Json(order)).into_response(),
        Some((status, detail)) => Problem::new(status, detail).with("order", order.id).into_response(),
    }
}

/// The customer's name for this order: sending it again under this name orders once.
fn idempotency_key(headers: &HeaderMap) -> Result<&str, Problem> {
    headers
        .get(&IDEMPOTENCY_KEY)
        .and_then(|value| value.to_str().ok())
        .filter(|key| (1..=128).contains(&key.len()))
        .ok_or(Problem::new(
            StatusCode::BAD_REQUEST,
            "send a header `idempotency-key` of 1 to 128 characters, new for each order",
        ))
}

#[cfg(test)]
mod tests;
