CREATE TABLE orders (id bigserial PRIMARY KEY, customer text NOT NULL, placed_at timestamptz NOT NULL);
