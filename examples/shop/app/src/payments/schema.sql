-- Safe to run at every start. There is no column a card number would fit into.
CREATE TABLE IF NOT EXISTS charges (
    id           text        PRIMARY KEY,
    amount_cents bigint      NOT NULL CHECK (amount_cents > 0),
    declined     boolean     NOT NULL,
    token        text        NOT NULL UNIQUE,
    last4        char(4)     NOT NULL CHECK (last4 ~ '^[0-9]{4}$'),
    created_at   timestamptz NOT NULL DEFAULT now()
);
