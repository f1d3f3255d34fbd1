-- Tells whether a schema has what its queues share.
-- $1 schema
SELECT FROM pg_class AS class JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
 WHERE namespace.nspname = $1 AND class.relname = 'job_queue_migrations'
