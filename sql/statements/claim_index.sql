-- Guarantees that the index which claims walk is known, whatever PostgreSQL called it.
SELECT format('%I.%I', space.nspname, class.relname) AS name
  FROM pg_index AS index
  JOIN pg_class AS class ON class.oid = index.indexrelid
  JOIN pg_namespace AS space ON space.oid = class.relnamespace
 WHERE index.indrelid = {table_literal}::regclass
   AND index.indpred IS NOT NULL
   AND ARRAY(SELECT pg_get_indexdef(class.oid, place, true) FROM generate_series(1, 3) AS place)
       = ARRAY['priority', 'schedule', 'id']
