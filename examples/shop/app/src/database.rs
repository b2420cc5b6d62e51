//! A service's own PostgreSQL database, reached through its sidecar.
use std::{path::Path, time::Duration};

use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use crate::settings::DatabaseSettings;

const CONNECTIONS_MAX: u32 = 5;
/// Longest wait for a connection, a new one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait between two attempts to reach the store at start.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Starting instances take turns: two replicas must not create one table at once.
const MIGRATION_LOCK: i64 = 0x5748_4f50;

#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("cannot read the password in {path}, which the store writes at its first start")]
    Password { path: String, source: std::io::Error },
    #[error("no answer within {} s", ACQUIRE_TIMEOUT.as_secs())]
    Deadline,
    #[error("cannot connect, or the schema was refused")]
    Database(#[from] sqlx::Error),
}

/// Connects and brings the schema up to date, as often as it takes: at start the store may still be starting, and the
/// first start of a store writes the password file. `schema` must be safe to run again.
pub(crate) async fn connect(settings: &DatabaseSettings, schema: &'static str) -> PgPool {
    let mut pause = Duration::from_millis(100);
    loop {
        match attempt(settings, schema).await {
            Ok(pool) => return pool,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(database = settings.name, address = %settings.address, %error, cause, "store not ready");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

async fn attempt(settings: &DatabaseSettings, schema: &'static str) -> Result<PgPool, ConnectError> {
    let password = read_password(&settings.password_file).await?;
    let options = PgConnectOptions::new_without_pgpass()
        .host(&settings.address.ip().to_string())
        .port(settings.address.port())
        .database(settings.name)
        .username(settings.name)
        .password(&password)
        // The sidecar carries the connection over mutual TLS; between us and it there is only this machine's loopback.
        .ssl_mode(PgSslMode::Disable)
        .application_name("shop")
        .options([
            ("client_min_messages", "warning"),
            ("statement_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ]);
    // One plain connection first: its error says what is wrong, where a pool would try on and say that it timed out.
    let migrated = tokio::time::timeout(ACQUIRE_TIMEOUT, migrate(&options, schema)).await;
    migrated.map_err(|_| ConnectError::Deadline)??;
    Ok(PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options))
}

async fn migrate(options: &PgConnectOptions, schema: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *transaction).await?;
    sqlx::raw_sql(schema).execute(&mut *transaction).await?;
    transaction.commit().await?;
    connection.close().await
}

async fn read_password(path: &Path) -> Result<String, ConnectError> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|source| ConnectError::Password { path: path.display().to_string(), source })?;
    Ok(text.trim_end().to_owned())
}

/// Whether `error` says that a row with the same key exists (SQLSTATE 23505).
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
