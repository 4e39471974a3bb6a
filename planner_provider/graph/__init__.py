"""From typed documents to the plan as data: tasks, edges, retries, compensations, digest."""
