-- Undoes cold_storage.sql; cold_back.sql has emptied it before.
DROP TABLE orders_cold
