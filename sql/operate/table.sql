-- Tells what the queue's table is like: its triggers, and what is dead in it.
SELECT ARRAY(SELECT tgname::text
               FROM pg_trigger
              WHERE tgrelid = {table_literal}::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A')) AS triggers,
       pg_stat_get_live_tuples({table_literal}::regclass) AS live,
       pg_stat_get_dead_tuples({table_literal}::regclass) AS dead,
       GREATEST(pg_stat_get_last_autovacuum_time({table_literal}::regclass),
                pg_stat_get_last_vacuum_time({table_literal}::regclass)) AS vacuumed,
       current_setting('autovacuum')::boolean
           AND NOT COALESCE('autovacuum_enabled=false' = ANY (reloptions), false) AS autovacuum,
       pg_relation_size(oid) AS bytes,
       pg_indexes_size(oid) AS index_bytes
  FROM pg_class
 WHERE oid = {table_literal}::regclass
