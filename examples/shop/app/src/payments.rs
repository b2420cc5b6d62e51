//! Payments: charges cards. Of a card it keeps a token and the last four digits, never the number.
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::{
    card::Card,
    problem::{Input, Problem},
    random, serve,
    settings::Settings,
};

const SCHEMA: &str = include_str!("payments/schema.sql");
/// Card numbers ending so are declined, as test cards do: 4000 0000 0000 0002.
const DECLINED_ENDING: &str = "0002";

/// Runs the service.
pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let database = settings.database("payments")?;
    serve::run(settings, &database, SCHEMA, routes, |_| std::future::pending()).await
}

fn routes(pool: PgPool) -> Router {
    Router::new().route("/charges", post(charge)).route("/charges/{id}", get(show)).with_state(pool)
}

/// A request to charge a card. The caller names the charge, so that asking twice charges once.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCharge {
    /// Chosen by the caller: the order's id.
    pub(crate) id: String,
    /// Amount in cents, at least 1.
    pub(crate) amount_cents: i64,
    /// The card.
    pub(crate) card: Card,
}

/// A charge, granted or declined.
#[derive(Serialize, Deserialize)]
pub(crate) struct Charge {
    /// Its id.
    pub(crate) id: String,
    /// Amount in cents.
    pub(crate) amount_cents: i64,
    /// `charged` or `declined`.
    pub(crate) state: ChargeState,
    /// Stands for the card from now on.
    pub(crate) token: String,
    /// For the customer to recognise the card by.
    pub(crate) last4: String,
}

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChargeState {
    /// The money is ours.
    Charged,
    /// The bank said no.
    Declined,
}

async fn charge(State(pool): State<PgPool>, Input(new): Input<NewCharge>) -> Result<Response, Problem> {
    if !(1..=64).contains(&new.id.len()) || new.amount_cents < 1 {
        let detail = "id must have 1 to 64 bytes and amount_cents must be at least 1";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    new.card.check()?;
    let last4 = new.card.number.last4();
    // The demo's bank: it decides by the last digits and calls nobody.
    let declined = last4 == DECLINED_ENDING;
    sqlx::query(
        "INSERT INTO charges (id, amount_cents, declined, token, last4) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&new.id)
    .bind(new.amount_cents)
    .bind(declined)
    .bind(random::id("tok_")?)
    .bind(last4)
    .execute(&pool)
    .await?;
    // Whether this row is ours or an earlier attempt's, it is the answer.
    let charge = find(&pool, &new.id).await?.ok_or_else(Problem::internal)?;
    if charge.amount_cents != new.amount_cents || charge.last4 != last4 {
        return Err(Problem::new(StatusCode::CONFLICT, "this charge id was used for another amount or card"));
    }
    let status = match charge.state {
        ChargeState::Charged => StatusCode::CREATED,
        ChargeState::Declined => StatusCode::PAYMENT_REQUIRED,
    };
    tracing::info!(charge = charge.id, amount_cents = charge.amount_cents, state = ?charge.state, last4, "charge");
    Ok((status, Json(charge)).into_response())
}

async fn show(State(pool): State<PgPool>, Path(id): Path<String>) -> Result<Json<Charge>, Problem> {
    find(&pool, &id).await?.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no such charge"))
}

async fn find(pool: &PgPool, id: &str) -> Result<Option<Charge>, sqlx::Error> {
    let row: Option<(i64, bool, String, String)> =
        sqlx::query_as("SELECT amount_cents, declined, token, last4 FROM charges WHERE id = $1")
            .bind(id)
            .fetch_optional(pool)
            .await?;
    Ok(row.map(|(amount_cents, declined, token, last4)| Charge {
        id: id.to_owned(),
        amount_cents,
        state: if declined { ChargeState::Declined } else { ChargeState::Charged },
        token,
        last4,
    }))
}
