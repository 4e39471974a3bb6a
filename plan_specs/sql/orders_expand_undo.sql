-- Undoes orders_expand.sql. Nothing reads the column before the contract phase, so no data is lost.
ALTER TABLE orders DROP COLUMN channel;
DELETE FROM schema_version WHERE version = 2
