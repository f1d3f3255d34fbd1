-- Guarantees that a process which has stopped leaves nothing that looks alive, nor do those that have been
-- silent for a day: a row that is missing counts as dead.
-- $1 node
DELETE FROM {schema}.job_queue_nodes WHERE node = $1 OR dead_at < now() - interval '1 day'
