//! Authentication: accounts with Argon2id passwords, sessions as signed tokens of which only the hash is stored. The mesh
//! checks that a token is ours and not expired before a request gets anywhere; whether its session is still open, only this
//! service knows.
mod token;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgPool;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use crate::{
    context::bearer,
    database::is_duplicate,
    problem::{Input, Problem},
    random, serve,
    settings::Settings,
};
use token::{Signer, TokenError};

const SCHEMA: &str = include_str!("authentication/schema.sql");
/// How long a session lasts, in seconds.
const SESSION_SECONDS: i32 = 3600;
/// Passwords hashed at once: each takes 19 MiB and a core (OWASP's parameters for Argon2id, the crate's default).
const HASHES_MAX: usize = 2;
const HASH_WAIT: Duration = Duration::from_secs(5);

/// Runs the service.
pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let database = settings.database("authentication")?;
    // Stands in for the hash of an account that does not exist, so that guessing names takes as long as guessing passwords.
    let nobody = hash(&random::id("")?)?;
    let routes = |pool| {
        let (hashing, signer) = (Arc::new(Semaphore::new(HASHES_MAX)), Arc::default());
        let state = Authentication { pool, nobody: nobody.into(), hashing, signer };
        Router::new()
            .route("/register", post(register))
            .route("/login", post(login))
            .route("/.well-known/jwks.json", get(keys))
            .route("/verify", get(verify))
            .with_state(state)
    };
    serve::run(settings, &database, SCHEMA, routes, |_| std::future::pending()).await
}

#[derive(Clone)]
struct Authentication {
    pool: PgPool,
    nobody: Arc<str>,
    hashing: Arc<Semaphore>,
    signer: Arc<OnceCell<Signer>>,
}

/// What a person types. Neither shown nor logged: there is no `Debug`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    email: String,
    password: String,
}

/// Whose token it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct User {
    /// Its id.
    pub(crate) id: String,
    /// Its address.
    pub(crate) email: String,
}

#[derive(Serialize)]
struct Session {
    token: String,
    expires_in: i32,
}

async fn register(State(state): State<Authentication>, Input(given): Input<Credentials>) -> Result<Response, Problem> {
    let email = canonical_email(&given.email)?;
    if !(10..=128).contains(&given.password.len()) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "password must have 10 to 128 bytes"));
    }
    let hash = state.on_a_core(move || hash(&given.password)).await?.map_err(|error| {
        tracing::error!(%error, "cannot hash a password");
        Problem::internal()
    })?;
    let id = random::id("usr_")?;
    let stored = sqlx::query("INSERT INTO users (id, email, password_hash) VALUES ($1, $2, $3)")
        .bind(&id)
        .bind(&email)
        .bind(hash)
        .execute(&state.pool)
        .await;
    match stored {
        Ok(_) => Ok((StatusCode::CREATED, Json(User { id, email })).into_response()),
        Err(error) if is_duplicate(&error) => {
            Err(Problem::new(StatusCode::CONFLICT, "there is an account with this address; log in"))
        }
        Err(error) => Err(error.into()),
    }
}

async fn login(
    State(state): State<Authentication>,
    Input(given): Input<Credentials>,
) -> Result<Json<Session>, Problem> {
    let row: Option<(String, String, String)> =
        sqlx::query_as("SELECT id, role, password_hash FROM users WHERE email = $1")
            .bind(given.email.trim().to_lowercase())
            .fetch_optional(&state.pool)
            .await?;
    let (user, stored) = match row {
        Some((id, role, hash)) => (Some((id, role)), hash),
        None => (None, state.nobody.to_string()),
    };
    let matches = state.on_a_core(move || matches(&given.password, &stored)).await?;
    let (user, role) = user.filter(|_| matches).ok_or(Problem::unauthorized("wrong address or password"))?;

    let lifetime = Duration::from_secs(SESSION_SECONDS.unsigned_abs().into());
    let token = state.signer().await?.sign(&user, &role, SystemTime::now(), lifetime)?;
    sqlx::query("DELETE FROM sessions WHERE expires_at < now()").execute(&state.pool).await?;
    sqlx::query(
        "INSERT INTO sessions (token_hash, user_id, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))",
    )
    .bind(random::token_hash(&token))
    .bind(user)
    .bind(f64::from(SESSION_SECONDS))
    .execute(&state.pool)
    .await?;
    Ok(Json(Session { token, expires_in: SESSION_SECONDS }))
}

/// The keys by which our tokens are checked, for everybody.
async fn keys(State(state): State<Authentication>) -> Result<Json<Value>, Problem> {
    Ok(Json(state.signer().await?.key_set()))
}

/// Whose bearer token this is; 401 when nobody's, or not any more.
async fn verify(State(state): State<Authentication>, headers: HeaderMap) -> Result<Json<User>, Problem> {
    let row: Option<(String, String)> = sqlx::query_as(
        "SELECT users.id, users.email FROM sessions JOIN users ON users.id = sessions.user_id \
         WHERE sessions.token_hash = $1 AND sessions.expires_at > now()",
    )
    .bind(random::token_hash(bearer(&headers)?))
    .fetch_optional(&state.pool)
    .await?;
    let (id, email) = row.ok_or(Problem::unauthorized("the session is unknown or over; log in again"))?;
    Ok(Json(User { id, email }))
}

impl Authentication {
    /// The signer with the key in the store, which whoever comes first puts there.
    async fn signer(&self) -> Result<&Signer, Problem> {
        let load = async || -> Result<Signer, Problem> {
            let insert = "INSERT INTO signing_key (key) VALUES ($1) ON CONFLICT DO NOTHING";
            sqlx::query(insert).bind(token::new_key()?).execute(&self.pool).await?;
            let (key,): (Vec<u8>,) = sqlx::query_as("SELECT key FROM signing_key").fetch_one(&self.pool).await?;
            Ok(Signer::new(&key)?)
        };
        self.signer.get_or_try_init(load).await
    }

    /// Runs slow work on its own thread, a few at a time, and turns callers away rather than queue them for long.
    async fn on_a_core<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = || Problem::unavailable("too many people log in at once; try again");
        let permit = timeout(HASH_WAIT, self.hashing.clone().acquire_owned()).await.map_err(|_| busy())?;
        let permit = permit.map_err(|_| busy())?;
        let worked = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        worked.await.map_err(|error| {
            tracing::error!(%error, "password work failed");
            Problem::internal()
        })
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        tracing::error!(%error, "no tokens can be signed");
        Self::internal()
    }
}

/// An account's name: trimmed, lower case, something on both sides of one `@`.
fn canonical_email(text: &str) -> Result<String, Problem> {
    let email = text.trim().to_lowercase();
    let shaped = email.len() <= 254
        && email.chars().all(|c| !c.is_whitespace() && !c.is_control())
        && email
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if shaped { Ok(email) } else { Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "email is not an address")) }
}

#[derive(Debug, thiserror::Error)]
enum HashError {
    #[error(transparent)]
    Random(#[from] random::NoRandom),
    #[error("argon2 refused")]
    Argon2(#[from] argon2::password_hash::Error),
}

/// The password's Argon2id hash in PHC form, with a fresh salt.
fn hash(password: &str) -> Result<String, HashError> {
    let salt = random::bytes::<16>()?;
    let hash: PasswordHash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt)?;
    Ok(hash.to_string())
}

fn matches(password: &str, stored: &str) -> bool {
    Argon2::default().verify_password(password.as_bytes(), stored).is_ok()
}

#[cfg(test)]
mod tests;
