-- Moves at most :batch candidates in one transaction: each is in one of the two tables at any time.
INSERT INTO orders_cold
SELECT * FROM orders WHERE id IN (
    SELECT c.id FROM cold_candidates AS c JOIN orders USING (id)
    ORDER BY c.id LIMIT CAST(:batch AS INTEGER)
);
DELETE FROM orders WHERE id IN (SELECT id FROM orders_cold)
