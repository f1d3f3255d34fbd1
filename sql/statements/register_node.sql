-- Guarantees a number that no other process has had or will have.
-- $1 name, for people
INSERT INTO {schema}.job_queue_nodes (name) VALUES ($1) RETURNING node
