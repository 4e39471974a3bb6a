-- Deletes at most 50 refunded orders that are older than :days days. Run again, it takes the next
-- 50, so that no single transaction is long.
DELETE FROM orders
WHERE id IN (
    SELECT id FROM orders
    WHERE status = 'refunded'
      AND julianday((SELECT now FROM clock)) - julianday(created_at) > CAST(:days AS INTEGER)
    ORDER BY created_at
    LIMIT 50
)
