-- A copy to compare with and to go back to. Started twice it is refused: the first one is the one
-- that was made while nothing was written.
CREATE TABLE orders_snapshot AS SELECT id, amount_cents FROM orders;
CREATE UNIQUE INDEX orders_snapshot_by_id ON orders_snapshot (id)
