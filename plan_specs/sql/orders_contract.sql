-- Contract: the old column goes. The snapshot keeps its values.
INSERT INTO schema_version (version, description, applied_at)
SELECT 3, 'orders.amount', now FROM clock;
ALTER TABLE orders DROP COLUMN amount_cents
