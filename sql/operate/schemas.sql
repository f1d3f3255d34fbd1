-- Tells which schemas of this database have queues, and whether one may look into them.
SELECT namespace.nspname AS schema,
       has_schema_privilege(namespace.oid, 'USAGE') AND has_table_privilege(class.oid, 'SELECT') AS readable
  FROM pg_class AS class
  JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
 WHERE class.relname = 'job_queue_migrations' AND class.relkind = 'r'
 ORDER BY namespace.nspname
