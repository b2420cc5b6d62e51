-- Safe to run at every start.
CREATE TABLE IF NOT EXISTS orders (
    id              text        PRIMARY KEY,
    user_id         text        NOT NULL,
    idempotency_key text        NOT NULL,
    sku             text        NOT NULL,
    quantity        integer     NOT NULL CHECK (quantity > 0),
    amount_cents    bigint      CHECK (amount_cents > 0),
    state           text        NOT NULL DEFAULT 'placing',
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- The claim of the attempt at work, and whether that attempt said that it stopped.
    attempted_at    timestamptz NOT NULL DEFAULT now(),
    stopped         boolean     NOT NULL DEFAULT false,
    UNIQUE (user_id, idempotency_key)
);

CREATE INDEX IF NOT EXISTS orders_by_user ON orders (user_id, created_at DESC);
CREATE INDEX IF NOT EXISTS orders_unsettled ON orders (attempted_at) WHERE state = 'placing';
