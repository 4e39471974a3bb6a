-- Brings back whatever is cold, in one transaction.
INSERT INTO orders SELECT * FROM orders_cold WHERE id NOT IN (SELECT id FROM orders);
DELETE FROM orders_cold
