//! The rows of orders-db. An order is worked on by one attempt at a time: `attempted_at` is the claim.
use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgRow};

use super::{
    Order,
    state::{OrderState, Repeat, judge_repeat},
};
use crate::{problem::Problem, random};

/// Age of a claim at which its attempt is dead: three times the longest life of a request (`serve::REQUEST_TIMEOUT`), so
/// that nothing it asked for can still arrive.
const STALE_SECONDS: f64 = 60.0;
const LIST_MAX: i64 = 100;
const COLUMNS: &str = "id, sku, quantity, amount_cents, state, \
     to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created_at";

/// The orders of one shop.
#[derive(Clone)]
pub(super) struct Ledger {
    pool: PgPool,
}

/// Who works on an order.
pub(super) enum Claim {
    /// We do.
    Ours(Order),
    /// Nobody: it is over.
    Over(Order),
    /// Somebody else.
    Busy,
    /// The key belongs to another order.
    Different,
}

impl Ledger {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Begins an order under the customer's key, or finds what became of it.
    pub(super) async fn claim(&self, user: &str, key: &str, sku: &str, quantity: i32) -> Result<Claim, Problem> {
        let inserted = sqlx::query(select(
            "INSERT INTO orders (id, user_id, idempotency_key, sku, quantity) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (user_id, idempotency_key) DO NOTHING RETURNING ",
            "",
        ))
        .bind(random::id("ord_")?)
        .bind(user)
        .bind(key)
        .bind(sku)
        .bind(quantity)
        .fetch_optional(&self.pool)
        .await?;
        if let Some(row) = inserted {
            return Ok(Claim::Ours(order(&row)?));
        }
        let row = sqlx::query(select(
            "SELECT stopped OR attempted_at < now() - make_interval(secs => $3) AS free, ",
            " FROM orders WHERE user_id = $1 AND idempotency_key = $2",
        ))
        .bind(user)
        .bind(key)
        .bind(STALE_SECONDS)
        .fetch_one(&self.pool)
        .await?;
        let found = order(&row)?;
        let same = found.sku == sku && found.quantity == quantity;
        Ok(match judge_repeat(same, found.state, row.try_get("free")?) {
            Repeat::Different => Claim::Different,
            Repeat::Over => Claim::Over(found),
            Repeat::Busy => Claim::Busy,
            // Of two that see it free, one gets it.
            Repeat::TakeUp => self.take_up(Some(&found.id)).await?.map_or(Claim::Busy, Claim::Ours),
        })
    }

    /// Claims an order that nobody works on: the given one as soon as its attempt stopped, or any that is stale.
    pub(super) async fn take_up(&self, id: Option<&str>) -> Result<Option<Order>, Problem> {
        let row = sqlx::query(select(
            "UPDATE orders SET attempted_at = now(), stopped = false WHERE id = (SELECT id FROM orders \
             WHERE state = 'placing' AND (attempted_at < now() - make_interval(secs => $1) OR (stopped AND id = $2)) \
             AND ($2::text IS NULL OR id = $2) ORDER BY attempted_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING ",
            "",
        ))
        .bind(STALE_SECONDS)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(order).transpose()
    }

    /// Records that the attempt on an order stopped without an end, so that its customer need not wait to try again.
    pub(super) async fn stopped(&self, id: &str) -> Result<(), Problem> {
        sqlx::query("UPDATE orders SET stopped = true WHERE id = $1 AND state = 'placing'")
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Records what the order costs.
    pub(super) async fn priced(&self, order: Order, amount_cents: i64) -> Result<Order, Problem> {
        sqlx::query("UPDATE orders SET amount_cents = $2 WHERE id = $1")
            .bind(&order.id)
            .bind(amount_cents)
            .execute(&self.pool)
            .await?;
        Ok(Order { amount_cents: Some(amount_cents), ..order })
    }

    /// Ends an order, once: an order that is over stays as it ended.
    pub(super) async fn end(&self, order: Order, state: OrderState) -> Result<Order, Problem> {
        sqlx::query("UPDATE orders SET state = $2 WHERE id = $1 AND state = 'placing'")
            .bind(&order.id)
            .bind(state.as_str())
            .execute(&self.pool)
            .await?;
        tracing::info!(order = order.id, state = state.as_str(), "order");
        Ok(Order { state, ..order })
    }

    /// One order of a customer.
    pub(super) async fn find(&self, user: &str, id: &str) -> Result<Option<Order>, Problem> {
        let row = sqlx::query(select("SELECT ", " FROM orders WHERE user_id = $1 AND id = $2"))
            .bind(user)
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(order).transpose()
    }

    /// A customer's newest orders, at most `LIST_MAX`.
    pub(super) async fn newest(&self, user: &str) -> Result<Vec<Order>, Problem> {
        let rows = sqlx::query(select("SELECT ", " FROM orders WHERE user_id = $1 ORDER BY created_at DESC LIMIT $2"))
            .bind(user)
            .bind(LIST_MAX)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(order).collect()
    }
}

/// A statement around the columns of an order; all three parts are literals of this file.
fn select(before: &'static str, after: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{before}{COLUMNS}{after}"))
}

fn order(row: &PgRow) -> Result<Order, Problem> {
    let state: String = row.try_get("state")?;
    Ok(Order {
        id: row.try_get("id")?,
        sku: row.try_get("sku")?,
        quantity: row.try_get("quantity")?,
        amount_cents: row.try_get("amount_cents")?,
        state: state.parse().map_err(|error| {
            tracing::error!(%error, "orders-db holds what we did not write");
            Problem::internal()
        })?,
        created_at: row.try_get("created_at")?,
    })
}
