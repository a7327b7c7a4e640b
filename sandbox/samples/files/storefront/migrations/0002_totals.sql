ALTER TABLE orders ADD COLUMN total_pence bigint NOT NULL DEFAULT 0;
