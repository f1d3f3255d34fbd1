-- Guarantees that a migration is recorded in the transaction that applied it.
-- $1 target, $2 version
INSERT INTO {schema}.job_queue_migrations (target, version) VALUES ($1, $2)
