-- Tells what keeps dead rows from being removed, the oldest first: transactions, prepared ones, and replication slots.
SELECT 'session ' || pid || COALESCE(' of ' || usename, '') || COALESCE(' (' || NULLIF(application_name, '') || ')', '')
           || ', ' || COALESCE(state, 'state unknown') AS who,
       EXTRACT(epoch FROM now() - xact_start)::float8 AS seconds,
       'SELECT pg_terminate_backend(' || pid || ')' AS remedy
  FROM pg_stat_activity
 WHERE backend_xmin IS NOT NULL AND xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
 UNION ALL
SELECT 'prepared transaction ' || gid, EXTRACT(epoch FROM now() - prepared)::float8, 'ROLLBACK PREPARED ' || quote_literal(gid)
  FROM pg_prepared_xacts
 WHERE database = current_database()
 UNION ALL
SELECT 'replication slot ' || slot_name, NULL, 'SELECT pg_drop_replication_slot(' || quote_literal(slot_name) || ')'
  FROM pg_replication_slots
 WHERE NOT active AND (xmin IS NOT NULL OR catalog_xmin IS NOT NULL)
 ORDER BY seconds DESC NULLS LAST
 LIMIT 20
