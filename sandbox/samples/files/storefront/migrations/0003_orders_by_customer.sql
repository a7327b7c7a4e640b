CREATE INDEX orders_customer ON orders (customer, placed_at DESC);
