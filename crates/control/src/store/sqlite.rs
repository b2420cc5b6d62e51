//! The embedded backend: one SQLite file in WAL mode, 0600. Revisions, tokens and decisions are synced to the disk before
//! they are acknowledged; counts are not (a power loss may lose the last second of them).
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Row, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use super::{
    BUCKET_AGE_MAX_MS, BUCKET_MS, DECISION_AGE_MAX_MS, DECISIONS_MAX, DecisionCount, DecisionFilter, DecisionRow,
    EVENTS_MAX, Event, FLOW_ROWS_PER_NODE_MAX, Facts, FlowCountRow, InstanceRow, NewRevision, NodeDigest, Revision,
    Store, StoreError, TokenRow, VERIFY_RUNS_MAX, VerifyRow,
};

/// Version of the tables below; a file with a higher one is refused.
const SCHEMA_VERSION: i64 = 2;

const SCHEMA: &str = "
CREATE TABLE revisions (number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, files TEXT NOT NULL) STRICT;
CREATE TABLE node_digests (node TEXT PRIMARY KEY, digest TEXT NOT NULL, since INTEGER NOT NULL) STRICT;
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, actor TEXT NOT NULL,
  action TEXT NOT NULL, subject TEXT NOT NULL, revision INTEGER NOT NULL, detail TEXT NOT NULL) STRICT;
CREATE TABLE tokens (id TEXT PRIMARY KEY, node TEXT NOT NULL, secret_sha256 BLOB NOT NULL, uses_left INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL) STRICT;
CREATE TABLE instances (instance TEXT PRIMARY KEY, node TEXT NOT NULL, mesh_address TEXT NOT NULL,
  isolation TEXT NOT NULL, version TEXT NOT NULL, serving INTEGER NOT NULL, hello_ms INTEGER NOT NULL,
  acked INTEGER NOT NULL, nack TEXT NOT NULL, svid_not_after INTEGER NOT NULL) STRICT;
CREATE TABLE flow_counts (node TEXT NOT NULL, source TEXT NOT NULL, flow TEXT NOT NULL, port INTEGER NOT NULL,
  allowed INTEGER NOT NULL, protocol TEXT NOT NULL, requests INTEGER NOT NULL, errors INTEGER NOT NULL,
  bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, duration_us INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL,
  PRIMARY KEY (node, source, flow, port, allowed)) STRICT, WITHOUT ROWID;
CREATE TABLE flow_buckets (node TEXT NOT NULL, source TEXT NOT NULL, flow TEXT NOT NULL, port INTEGER NOT NULL,
  allowed INTEGER NOT NULL, bucket INTEGER NOT NULL, requests INTEGER NOT NULL,
  PRIMARY KEY (node, source, flow, port, allowed, bucket)) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (id TEXT PRIMARY KEY, time_ms INTEGER NOT NULL, node TEXT NOT NULL, flow TEXT NOT NULL,
  allowed INTEGER NOT NULL, probe INTEGER NOT NULL, facts TEXT NOT NULL, strict INTEGER NOT NULL DEFAULT 0)
  STRICT, WITHOUT ROWID;
CREATE INDEX decisions_time ON decisions (time_ms);
CREATE INDEX decisions_share ON decisions (strict, time_ms);
CREATE TABLE verify_runs (id TEXT PRIMARY KEY, started_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL,
  revision INTEGER NOT NULL, state TEXT NOT NULL, results TEXT NOT NULL) STRICT;
";

/// From version 1: decisions in two shares.
const FROM_1: &str = "
ALTER TABLE decisions ADD COLUMN strict INTEGER NOT NULL DEFAULT 0;
CREATE INDEX decisions_share ON decisions (strict, time_ms);
";

/// The SQLite store. Two writers, so that counts never wait behind a sync they do not need, and a few readers.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    durable: SqlitePool,
    counts: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, making it (0600) when it is not there.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display().to_string();
        // SQLite gives its journal files the mode of the database, so making it first makes all three private.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| StoreError::File { path: shown.clone(), source })?;
        let options = |synchronous| {
            SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(false)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(synchronous)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(5))
        };
        let pool = |connections, synchronous| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(10))
                .idle_timeout(None)
                .max_lifetime(None)
                // A full disk makes SQLite roll back by itself; the driver's own rollback then fails and it believes
                // for ever that a transaction is open. Such a connection is given up, or nothing could be stored again.
                .before_acquire(|connection, _| {
                    Box::pin(async move { Ok(!sqlx::Connection::is_in_transaction(connection)) })
                })
                .connect_lazy_with(options(synchronous))
        };
        let store = Self {
            path: path.to_owned(),
            durable: pool(1, SqliteSynchronous::Full),
            counts: pool(1, SqliteSynchronous::Normal),
            readers: pool(3, SqliteSynchronous::Normal),
        };
        store.migrate().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let shown = self.path.display().to_string();
        let opened = |source| StoreError::Open { path: shown.clone(), source };
        let mut transaction = self.durable.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.fault_or(e, opened))?;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut *transaction)
            .await
            .map_err(|e| self.fault_or(e, opened))?;
        let statements = match found {
            SCHEMA_VERSION => return Ok(()),
            0 => SCHEMA,
            1 => FROM_1,
            _ => return Err(StoreError::Version { path: shown, found, known: SCHEMA_VERSION }),
        };
        sqlx::raw_sql(statements).execute(&mut *transaction).await.map_err(|e| self.fault_or(e, opened))?;
        sqlx::raw_sql("PRAGMA user_version = 2")
            .execute(&mut *transaction)
            .await
            .map_err(|e| self.fault_or(e, opened))?;
        transaction.commit().await.map_err(|e| self.fault_or(e, opened))
    }

    /// A full disk has its own words; everything else is told by the caller.
    fn fault_or(&self, error: sqlx::Error, otherwise: impl FnOnce(sqlx::Error) -> StoreError) -> StoreError {
        // SQLITE_FULL, whose extended codes keep it in their low byte, and SQLITE_IOERR_SHMSIZE: no room for the index of
        // the journal.
        let code = error.as_database_error().and_then(|e| e.code()).and_then(|c| c.parse::<i64>().ok());
        if code.is_some_and(|c| c & 0xff == 13 || c == 4874) {
            return StoreError::Full { path: self.path.display().to_string(), source: error };
        }
        otherwise(error)
    }

    fn fault(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError + '_ {
        move |error| self.fault_or(error, |source| StoreError::Database { doing, source })
    }

    async fn begin(&self, pool: &SqlitePool, doing: &'static str) -> Result<Transaction<'static, Sqlite>, StoreError> {
        pool.begin_with("BEGIN IMMEDIATE").await.map_err(self.fault(doing))
    }
}

#[tonic::async_trait]
impl Store for SqliteStore {
    async fn latest_revision(&self) -> Result<Option<Revision>, StoreError> {
        let row = sqlx::query("SELECT number, time_ms, files FROM revisions ORDER BY number DESC LIMIT 1")
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fault("read the model"))?;
        row.map(|r| revision_of(&r)).transpose()
    }

    async fn revision(&self, number: u64) -> Result<Option<Revision>, StoreError> {
        let row = sqlx::query("SELECT number, time_ms, files FROM revisions WHERE number = ?")
            .bind(int(number))
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fault("read a model"))?;
        row.map(|r| revision_of(&r)).transpose()
    }

    async fn put_revision(&self, new: NewRevision<'_>) -> Result<(), StoreError> {
        let doing = "stored a model";
        let files = serde_json::to_string(new.files).map_err(|source| StoreError::Corrupt { what: "model", source })?;
        let mut transaction = self.begin(&self.durable, doing).await?;
        let latest: i64 = sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM revisions")
            .fetch_one(&mut *transaction)
            .await
            .map_err(self.fault(doing))?;
        if uint(latest) + 1 != new.number {
            return Err(StoreError::Conflict(new.number));
        }
        sqlx::query("INSERT INTO revisions (number, time_ms, files) VALUES (?, ?, ?)")
            .bind(int(new.number))
            .bind(new.time_ms)
            .bind(files)
            .execute(&mut *transaction)
            .await
            .map_err(self.fault(doing))?;
        sqlx::query("DELETE FROM node_digests").execute(&mut *transaction).await.map_err(self.fault(doing))?;
        for (node, digest) in new.digests {
            sqlx::query("INSERT INTO node_digests (node, digest, since) VALUES (?, ?, ?)")
                .bind(node)
                .bind(&digest.digest)
                .bind(int(digest.since))
                .execute(&mut *transaction)
                .await
                .map_err(self.fault(doing))?;
        }
        insert_event(&mut transaction, new.event).await.map_err(self.fault(doing))?;
        transaction.commit().await.map_err(self.fault(doing))
    }

    async fn node_digests(&self) -> Result<BTreeMap<String, NodeDigest>, StoreError> {
        let rows = sqlx::query("SELECT node, digest, since FROM node_digests")
            .fetch_all(&self.readers)
            .await
            .map_err(self.fault("read the digests"))?;
        Ok(rows
            .iter()
            .map(|r| (r.get("node"), NodeDigest { digest: r.get("digest"), since: uint(r.get("since")) }))
            .collect())
    }

    async fn put_event(&self, event: &Event) -> Result<(), StoreError> {
        let doing = "stored an event";
        let mut transaction = self.begin(&self.durable, doing).await?;
        insert_event(&mut transaction, event).await.map_err(self.fault(doing))?;
        transaction.commit().await.map_err(self.fault(doing))
    }

    async fn events(&self, limit: u32) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(
            "SELECT time_ms, actor, action, subject, revision, detail FROM events ORDER BY id DESC LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(self.fault("read the events"))?;
        Ok(rows
            .iter()
            .map(|r| Event {
                time_ms: r.get("time_ms"),
                actor: r.get("actor"),
                action: r.get("action"),
                subject: r.get("subject"),
                revision: uint(r.get("revision")),
                detail: r.get("detail"),
            })
            .collect())
    }

    async fn put_token(&self, token: &TokenRow, event: &Event) -> Result<(), StoreError> {
        let doing = "stored a join token";
        let mut transaction = self.begin(&self.durable, doing).await?;
        sqlx::query("INSERT INTO tokens (id, node, secret_sha256, uses_left, expires_ms) VALUES (?, ?, ?, ?, ?)")
            .bind(&token.id)
            .bind(&token.node)
            .bind(&token.secret_sha256)
            .bind(token.uses_left)
            .bind(token.expires_ms)
            .execute(&mut *transaction)
            .await
            .map_err(self.fault(doing))?;
        insert_event(&mut transaction, event).await.map_err(self.fault(doing))?;
        transaction.commit().await.map_err(self.fault(doing))
    }

    async fn token(&self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        let row = sqlx::query("SELECT id, node, secret_sha256, uses_left, expires_ms FROM tokens WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fault("read a join token"))?;
        Ok(row.map(|r| TokenRow {
            id: r.get("id"),
            node: r.get("node"),
            secret_sha256: r.get("secret_sha256"),
            uses_left: r.get("uses_left"),
            expires_ms: r.get("expires_ms"),
        }))
    }

    async fn take_token(&self, id: &str, now_ms: i64, event: &Event) -> Result<bool, StoreError> {
        let doing = "took a use of a join token";
        let mut transaction = self.begin(&self.durable, doing).await?;
        let taken = sqlx::query(
            "UPDATE tokens SET uses_left = uses_left - 1 WHERE id = ? AND uses_left > 0 AND expires_ms > ?",
        )
        .bind(id)
        .bind(now_ms)
        .execute(&mut *transaction)
        .await
        .map_err(self.fault(doing))?
        .rows_affected();
        if taken == 0 {
            return Ok(false);
        }
        insert_event(&mut transaction, event).await.map_err(self.fault(doing))?;
        transaction.commit().await.map_err(self.fault(doing))?;
        Ok(true)
    }

    async fn put_instance(&self, row: &InstanceRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO instances (instance, node, mesh_address, isolation, version, serving, hello_ms, acked, nack,
               svid_not_after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (instance) DO UPDATE SET node = excluded.node, mesh_address = excluded.mesh_address,
               isolation = excluded.isolation, version = excluded.version, serving = excluded.serving,
               hello_ms = excluded.hello_ms, svid_not_after = excluded.svid_not_after",
        )
        .bind(&row.instance)
        .bind(&row.node)
        .bind(&row.mesh_address)
        .bind(&row.isolation)
        .bind(&row.version)
        .bind(row.serving)
        .bind(row.hello_ms)
        .bind(int(row.acked))
        .bind(&row.nack)
        .bind(row.svid_not_after)
        .execute(&self.durable)
        .await
        .map_err(self.fault("stored an instance"))?;
        Ok(())
    }

    async fn instance_gone(&self, instance: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE instances SET serving = 0 WHERE instance = ?")
            .bind(instance)
            .execute(&self.durable)
            .await
            .map_err(self.fault("removed an endpoint"))?;
        Ok(())
    }

    async fn put_ack(&self, instance: &str, acked: u64, nack: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE instances SET acked = ?, nack = ? WHERE instance = ?")
            .bind(int(acked))
            .bind(nack)
            .bind(instance)
            .execute(&self.counts)
            .await
            .map_err(self.fault("stored an acknowledgement"))?;
        Ok(())
    }

    async fn instances(&self) -> Result<Vec<InstanceRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM instances ORDER BY instance")
            .fetch_all(&self.readers)
            .await
            .map_err(self.fault("read the instances"))?;
        Ok(rows
            .iter()
            .map(|r| InstanceRow {
                instance: r.get("instance"),
                node: r.get("node"),
                mesh_address: r.get("mesh_address"),
                isolation: r.get("isolation"),
                version: r.get("version"),
                serving: r.get("serving"),
                hello_ms: r.get("hello_ms"),
                acked: uint(r.get("acked")),
                nack: r.get("nack"),
                svid_not_after: r.get("svid_not_after"),
            })
            .collect())
    }

    async fn keep_instances_of(&self, nodes: &[String]) -> Result<(), StoreError> {
        let keep = serde_json::to_string(nodes).map_err(|source| StoreError::Corrupt { what: "name", source })?;
        sqlx::query("DELETE FROM instances WHERE node NOT IN (SELECT value FROM json_each(?))")
            .bind(keep)
            .execute(&self.durable)
            .await
            .map_err(self.fault("forgot instances"))?;
        Ok(())
    }

    async fn put_facts(&self, facts: &Facts, now_ms: i64) -> Result<(), StoreError> {
        let doing = "stored a report";
        let only_counts = facts.decisions.is_empty() && facts.outcomes.is_empty();
        let pool = if only_counts { &self.counts } else { &self.durable };
        let mut transaction = self.begin(pool, doing).await?;
        for count in &facts.counts {
            add_count(&mut transaction, count, now_ms).await.map_err(self.fault(doing))?;
        }
        for decision in &facts.decisions {
            let json =
                serde_json::to_string(decision).map_err(|source| StoreError::Corrupt { what: "decision", source })?;
            // A report that was stored but not acknowledged comes again.
            sqlx::query(
                "INSERT OR IGNORE INTO decisions (id, time_ms, node, flow, allowed, probe, facts, strict)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&decision.id)
            .bind(decision.time_ms)
            .bind(&decision.node)
            .bind(&decision.flow)
            .bind(decision.allowed)
            .bind(decision.probe)
            .bind(json)
            .bind(decision.allowed && !decision.audit.is_empty())
            .execute(&mut *transaction)
            .await
            .map_err(self.fault(doing))?;
        }
        for (decision, outcome) in &facts.outcomes {
            let json =
                serde_json::to_string(outcome).map_err(|source| StoreError::Corrupt { what: "outcome", source })?;
            // Nobody tells what became of another's request.
            sqlx::query(
                "UPDATE decisions SET facts = json_set(facts, '$.outcome', json(?))
                   WHERE id = ? AND json_extract(facts, '$.instance') = ?",
            )
            .bind(json)
            .bind(decision)
            .bind(&facts.instance)
            .execute(&mut *transaction)
            .await
            .map_err(self.fault(doing))?;
        }
        transaction.commit().await.map_err(self.fault(doing))
    }

    async fn flow_counts(&self, now_ms: i64) -> Result<Vec<FlowCountRow>, StoreError> {
        let until = now_ms / BUCKET_MS;
        let rows = sqlx::query(
            "SELECT c.*, coalesce((SELECT sum(b.requests) FROM flow_buckets b WHERE b.node = c.node
               AND b.source = c.source AND b.flow = c.flow AND b.port = c.port AND b.allowed = c.allowed
               AND b.bucket > ?), 0) AS last_minute
             FROM flow_counts c ORDER BY c.node, c.source, c.flow, c.port, c.allowed",
        )
        .bind(until - 60_000 / BUCKET_MS)
        .fetch_all(&self.readers)
        .await
        .map_err(self.fault("read the flow counts"))?;
        Ok(rows
            .iter()
            .map(|r| FlowCountRow {
                node: r.get("node"),
                source: r.get("source"),
                flow: r.get("flow"),
                port: r.get("port"),
                allowed: r.get("allowed"),
                protocol: r.get("protocol"),
                requests: uint(r.get("requests")),
                errors: uint(r.get("errors")),
                bytes_in: uint(r.get("bytes_in")),
                bytes_out: uint(r.get("bytes_out")),
                duration_us: uint(r.get("duration_us")),
                last_seen_ms: r.get("last_seen_ms"),
                last_minute: uint(r.get("last_minute")),
            })
            .collect())
    }

    async fn decisions(&self, filter: &DecisionFilter) -> Result<Vec<DecisionRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT facts FROM decisions WHERE (?1 IS NULL OR allowed = ?1) AND (?2 IS NULL OR node = ?2)
               AND (?3 IS NULL OR flow = ?3) AND (?4 IS NULL OR time_ms < ?4) AND (?6 OR NOT probe)
               AND (?7 IS NULL OR json_extract(facts, '$.reason') = ?7)
               AND (?8 IS NULL OR json_extract(facts, '$.policy') = ?8) ORDER BY time_ms DESC, id DESC
             LIMIT ?5",
        )
        .bind(filter.allowed)
        .bind(filter.node.as_deref())
        .bind(filter.flow.as_deref())
        .bind(filter.before_ms)
        .bind(filter.limit.unwrap_or(100).min(1_000))
        .bind(filter.probes)
        .bind(filter.reason.as_deref())
        .bind(filter.policy.as_deref())
        .fetch_all(&self.readers)
        .await
        .map_err(self.fault("read the decisions"))?;
        rows.iter().map(decision_of).collect()
    }

    async fn decision_counts(&self, filter: &DecisionFilter) -> Result<Vec<DecisionCount>, StoreError> {
        // With a single max(), SQLite takes the other columns from the row that has it.
        let rows = sqlx::query(
            "SELECT json_extract(facts, '$.reason') AS reason, node, allowed, count(*) AS count, max(time_ms) AS last_ms,
               id AS last_id FROM decisions WHERE (?1 IS NULL OR allowed = ?1) AND (?2 IS NULL OR node = ?2)
               AND (?3 IS NULL OR flow = ?3) AND (?4 IS NULL OR time_ms < ?4) AND (?5 OR NOT probe)
               AND (?6 IS NULL OR json_extract(facts, '$.reason') = ?6)
               AND (?7 IS NULL OR json_extract(facts, '$.policy') = ?7)
             GROUP BY reason, node, allowed ORDER BY allowed, count DESC, reason, node",
        )
        .bind(filter.allowed)
        .bind(filter.node.as_deref())
        .bind(filter.flow.as_deref())
        .bind(filter.before_ms)
        .bind(filter.probes)
        .bind(filter.reason.as_deref())
        .bind(filter.policy.as_deref())
        .fetch_all(&self.readers)
        .await
        .map_err(self.fault("counted the decisions"))?;
        let row = |r: &SqliteRow| DecisionCount {
            reason: r.get("reason"),
            node: r.get("node"),
            allowed: r.get("allowed"),
            count: uint(r.get("count")),
            last_ms: r.get("last_ms"),
            last_id: r.get("last_id"),
        };
        Ok(rows.iter().map(row).collect())
    }

    async fn decision(&self, id: &str) -> Result<Option<DecisionRow>, StoreError> {
        let row = sqlx::query("SELECT facts FROM decisions WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fault("read a decision"))?;
        row.as_ref().map(decision_of).transpose()
    }

    async fn put_verify(&self, row: &VerifyRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO verify_runs (id, started_ms, finished_ms, revision, state, results) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET finished_ms = excluded.finished_ms, state = excluded.state,
               results = excluded.results",
        )
        .bind(&row.id)
        .bind(row.started_ms)
        .bind(row.finished_ms)
        .bind(int(row.revision))
        .bind(&row.state)
        .bind(&row.results)
        .execute(&self.durable)
        .await
        .map_err(self.fault("stored a verify run"))?;
        Ok(())
    }

    async fn verify(&self, id: &str) -> Result<Option<VerifyRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM verify_runs WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fault("read a verify run"))?;
        Ok(row.as_ref().map(verify_of))
    }

    async fn last_verify(&self) -> Result<Option<VerifyRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM verify_runs WHERE state = 'done' ORDER BY finished_ms DESC LIMIT 1")
            .fetch_optional(&self.readers)
            .await
            .map_err(self.fault("read a verify run"))?;
        Ok(row.as_ref().map(verify_of))
    }

    async fn prune(&self, now_ms: i64) -> Result<(), StoreError> {
        let doing = "dropped old rows";
        let mut transaction = self.begin(&self.counts, doing).await?;
        let each = [
            ("DELETE FROM decisions WHERE time_ms < ?", now_ms - DECISION_AGE_MAX_MS),
            (
                "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE strict = 0
                   ORDER BY time_ms DESC, id DESC LIMIT -1 OFFSET ?)",
                int(DECISIONS_MAX),
            ),
            (
                "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE strict = 1
                   ORDER BY time_ms DESC, id DESC LIMIT -1 OFFSET ?)",
                int(DECISIONS_MAX),
            ),
            ("DELETE FROM flow_buckets WHERE bucket < ?", (now_ms - BUCKET_AGE_MAX_MS) / BUCKET_MS),
            ("DELETE FROM tokens WHERE uses_left = 0 OR expires_ms < ?", now_ms - DECISION_AGE_MAX_MS),
            (
                "DELETE FROM verify_runs WHERE id IN (SELECT id FROM verify_runs ORDER BY started_ms DESC
                   LIMIT -1 OFFSET ?)",
                VERIFY_RUNS_MAX,
            ),
            ("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", EVENTS_MAX),
        ];
        for (statement, bound) in each {
            sqlx::query(statement).bind(bound).execute(&mut *transaction).await.map_err(self.fault(doing))?;
        }
        transaction.commit().await.map_err(self.fault(doing))
    }

    async fn close(&self) {
        self.counts.close().await;
        self.readers.close().await;
        self.durable.close().await;
    }
}

async fn insert_event(connection: &mut SqliteConnection, event: &Event) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO events (time_ms, actor, action, subject, revision, detail) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(event.time_ms)
        .bind(&event.actor)
        .bind(&event.action)
        .bind(&event.subject)
        .bind(int(event.revision))
        .bind(&event.detail)
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds increments to the sums and to the bucket of now. A node that names more peers than it may own rows for has the
/// rest counted under the empty source, so that a hostile proxy cannot grow the table.
async fn add_count(connection: &mut SqliteConnection, count: &FlowCountRow, now_ms: i64) -> Result<(), sqlx::Error> {
    let rows: i64 = sqlx::query_scalar(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM flow_counts WHERE node = ?1 AND source = ?2) THEN 0
           ELSE (SELECT count(*) FROM flow_counts WHERE node = ?1) END",
    )
    .bind(&count.node)
    .bind(&count.source)
    .fetch_one(&mut *connection)
    .await?;
    let source = if rows < FLOW_ROWS_PER_NODE_MAX { count.source.as_str() } else { "" };
    sqlx::query(
        "INSERT INTO flow_counts (node, source, flow, port, allowed, protocol, requests, errors, bytes_in, bytes_out,
           duration_us, last_seen_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (node, source, flow, port, allowed) DO UPDATE SET requests = requests + excluded.requests,
           errors = errors + excluded.errors, bytes_in = bytes_in + excluded.bytes_in,
           bytes_out = bytes_out + excluded.bytes_out, duration_us = duration_us + excluded.duration_us,
           last_seen_ms = excluded.last_seen_ms, protocol = excluded.protocol",
    )
    .bind(&count.node)
    .bind(source)
    .bind(&count.flow)
    .bind(count.port)
    .bind(count.allowed)
    .bind(&count.protocol)
    .bind(int(count.requests))
    .bind(int(count.errors))
    .bind(int(count.bytes_in))
    .bind(int(count.bytes_out))
    .bind(int(count.duration_us))
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO flow_buckets (node, source, flow, port, allowed, bucket, requests) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (node, source, flow, port, allowed, bucket) DO UPDATE SET requests = requests + excluded.requests",
    )
    .bind(&count.node)
    .bind(source)
    .bind(&count.flow)
    .bind(count.port)
    .bind(count.allowed)
    .bind(now_ms / BUCKET_MS)
    .bind(int(count.requests))
    .execute(connection)
    .await?;
    Ok(())
}

fn revision_of(row: &SqliteRow) -> Result<Revision, StoreError> {
    let files: String = row.get("files");
    Ok(Revision {
        number: uint(row.get("number")),
        time_ms: row.get("time_ms"),
        files: serde_json::from_str(&files).map_err(|source| StoreError::Corrupt { what: "model", source })?,
    })
}

fn decision_of(row: &SqliteRow) -> Result<DecisionRow, StoreError> {
    let facts: String = row.get("facts");
    serde_json::from_str(&facts).map_err(|source| StoreError::Corrupt { what: "decision", source })
}

fn verify_of(row: &SqliteRow) -> VerifyRow {
    VerifyRow {
        id: row.get("id"),
        started_ms: row.get("started_ms"),
        finished_ms: row.get("finished_ms"),
        revision: uint(row.get("revision")),
        state: row.get("state"),
        results: row.get("results"),
    }
}

/// SQLite's integers are signed; a count beyond them is held at the largest.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[cfg(test)]
impl SqliteStore {
    /// Allows the file no further page, which SQLite reports as a full disk.
    pub(crate) async fn fill(&self) {
        sqlx::raw_sql("PRAGMA max_page_count = 1").execute(&self.durable).await.unwrap();
        sqlx::raw_sql("PRAGMA max_page_count = 1").execute(&self.counts).await.unwrap();
    }

    /// Takes back what version 2 added.
    pub(crate) async fn back_to_version_1(&self) {
        let statements =
            "DROP INDEX decisions_share; ALTER TABLE decisions DROP COLUMN strict; PRAGMA user_version = 1";
        sqlx::raw_sql(statements).execute(&self.durable).await.unwrap();
    }

    /// Pretends that another version wrote the file.
    pub(crate) async fn user_version(&self, version: u32) {
        let statement = format!("PRAGMA user_version = {version}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&self.durable).await.unwrap();
    }
}
