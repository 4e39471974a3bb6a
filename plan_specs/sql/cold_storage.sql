-- The cold table: the same columns, and nothing that costs a write to keep.
CREATE TABLE orders_cold AS SELECT * FROM orders WHERE 0;
CREATE UNIQUE INDEX orders_cold_by_id ON orders_cold (id)
