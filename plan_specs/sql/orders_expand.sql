-- Expand: a new column that old code may ignore. One transaction, so it is there as a whole or not
-- at all; started twice, the primary key of schema_version refuses the second.
INSERT INTO schema_version (version, description, applied_at)
SELECT 2, 'orders.channel', now FROM clock;
ALTER TABLE orders ADD COLUMN channel TEXT
