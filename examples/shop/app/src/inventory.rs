//! Inventory: what is in stock, at what price, and what is held for an order.
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::{
    problem::{Input, Problem},
    serve,
    settings::Settings,
};

const SCHEMA: &str = include_str!("inventory/schema.sql");
/// The most of one article in one order.
pub(crate) const QUANTITY_MAX: i32 = 1000;

/// Runs the service.
pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let database = settings.database("inventory")?;
    serve::run(settings, &database, SCHEMA, routes, |_| std::future::pending()).await
}

fn routes(pool: PgPool) -> Router {
    Router::new()
        .route("/stock/{sku}", get(stock))
        .route("/reservations", post(reserve))
        .route("/reservations/{id}", delete(release))
        .with_state(pool)
}

/// A request to hold stock. The caller names the reservation, so that asking twice holds once.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReservation {
    /// Chosen by the caller: the order's id.
    pub(crate) id: String,
    /// The article.
    pub(crate) sku: String,
    /// How many, 1 to `QUANTITY_MAX`.
    pub(crate) quantity: i32,
}

/// Stock that is held.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reservation {
    /// Its id.
    pub(crate) id: String,
    /// Price of one piece, in cents, at the time it was held.
    pub(crate) price_cents: i64,
}

#[derive(Serialize)]
struct Stock {
    sku: String,
    name: String,
    price_cents: i64,
    available: i32,
}

async fn stock(State(pool): State<PgPool>, Path(sku): Path<String>) -> Result<Json<Stock>, Problem> {
    let row: Option<(String, i64, i32)> =
        sqlx::query_as("SELECT name, price_cents, available FROM stock WHERE sku = $1")
            .bind(&sku)
            .fetch_optional(&pool)
            .await?;
    let (name, price_cents, available) = row.ok_or_else(unknown_sku)?;
    Ok(Json(Stock { sku, name, price_cents, available }))
}

async fn reserve(State(pool): State<PgPool>, Input(new): Input<NewReservation>) -> Result<Response, Problem> {
    if !(1..=64).contains(&new.id.len()) || !(1..=QUANTITY_MAX).contains(&new.quantity) {
        let detail = format!("id must have 1 to 64 bytes and quantity must be 1 to {QUANTITY_MAX}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let mut transaction = pool.begin().await?;
    let price: Option<i64> = sqlx::query_scalar("SELECT price_cents FROM stock WHERE sku = $1")
        .bind(&new.sku)
        .fetch_optional(&mut *transaction)
        .await?;
    let price_cents = price.ok_or_else(unknown_sku)?;
    let inserted = sqlx::query(
        "INSERT INTO reservations (id, sku, quantity, price_cents) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&new.id)
    .bind(&new.sku)
    .bind(new.quantity)
    .bind(price_cents)
    .execute(&mut *transaction)
    .await?;
    if inserted.rows_affected() == 0 {
        drop(transaction);
        return held_before(&pool, new).await;
    }
    let taken = sqlx::query("UPDATE stock SET available = available - $2 WHERE sku = $1 AND available >= $2")
        .bind(&new.sku)
        .bind(new.quantity)
        .execute(&mut *transaction)
        .await?;
    if taken.rows_affected() == 0 {
        // Dropping the transaction takes the reservation back.
        return Err(Problem::new(StatusCode::CONFLICT, "not enough in stock"));
    }
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(Reservation { id: new.id, price_cents })).into_response())
}

/// The same request again gets the same answer; a used or released id cannot be held anew.
async fn held_before(pool: &PgPool, new: NewReservation) -> Result<Response, Problem> {
    let (sku, quantity, price_cents, held): (String, i32, i64, bool) =
        sqlx::query_as("SELECT sku, quantity, price_cents, released_at IS NULL FROM reservations WHERE id = $1")
            .bind(&new.id)
            .fetch_one(pool)
            .await?;
    if held && sku == new.sku && quantity == new.quantity {
        return Ok(Json(Reservation { id: new.id, price_cents }).into_response());
    }
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "this reservation id was used for something else"))
}

/// Gives the stock back, once: releasing again changes nothing and succeeds.
async fn release(State(pool): State<PgPool>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let mut transaction = pool.begin().await?;
    let row: Option<(String, i32)> = sqlx::query_as(
        "UPDATE reservations SET released_at = now() WHERE id = $1 AND released_at IS NULL RETURNING sku, quantity",
    )
    .bind(&id)
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some((sku, quantity)) = row {
        sqlx::query("UPDATE stock SET available = available + $2 WHERE sku = $1")
            .bind(sku)
            .bind(quantity)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    let known: Option<i32> = sqlx::query_scalar("SELECT 1 FROM reservations WHERE id = $1")
        .bind(&id)
        .fetch_optional(&mut *transaction)
        .await?;
    known.map(|_| StatusCode::NO_CONTENT).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no such reservation"))
}

fn unknown_sku() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such article")
}
