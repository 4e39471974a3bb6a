-- Undoes orders_contract.sql: the old column comes back with the values of the snapshot.
ALTER TABLE orders ADD COLUMN amount_cents INTEGER NOT NULL DEFAULT 0;
UPDATE orders SET amount_cents =
    coalesce((SELECT s.amount_cents FROM orders_snapshot AS s WHERE s.id = orders.id), amount_cents);
DELETE FROM schema_version WHERE version = 3
