"""What waits for plans in the triggerer, without holding a worker."""
