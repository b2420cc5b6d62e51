-- Safe to run at every start.
CREATE TABLE IF NOT EXISTS stock (
    sku         text    PRIMARY KEY,
    name        text    NOT NULL,
    price_cents bigint  NOT NULL CHECK (price_cents > 0),
    available   integer NOT NULL CHECK (available >= 0)
);

CREATE TABLE IF NOT EXISTS reservations (
    id          text        PRIMARY KEY,
    sku         text        NOT NULL REFERENCES stock,
    quantity    integer     NOT NULL CHECK (quantity > 0),
    price_cents bigint      NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz
);

-- What the demo sells. A row that exists keeps its stock.
INSERT INTO stock (sku, name, price_cents, available) VALUES
    ('teapot',        'Teapot',                  2400, 100000),
    ('cup',           'Cup',                      650, 100000),
    ('first-edition', 'First edition, sold out', 9900,      0)
ON CONFLICT (sku) DO NOTHING;
