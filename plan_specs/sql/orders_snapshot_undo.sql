-- Undoes orders_snapshot.sql.
DROP TABLE orders_snapshot
