-- What is old and done. A list of its own, so that what is moved is what was chosen.
CREATE TABLE cold_candidates AS
SELECT id FROM orders
WHERE status = 'shipped'
  AND julianday((SELECT now FROM clock)) - julianday(created_at) > CAST(:days AS INTEGER)
