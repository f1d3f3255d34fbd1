-- Tells which indexes the queue's table has, and whether they can be used.
SELECT class.relname AS name,
       index.indisvalid AND index.indisready AS usable,
       index.indisprimary AS primary,
       index.indpred IS NOT NULL AS partial,
       ARRAY(SELECT attribute.attname::text
               FROM unnest(index.indkey) WITH ORDINALITY AS key (number, place)
               JOIN pg_attribute AS attribute ON attribute.attrelid = index.indrelid AND attribute.attnum = key.number
              ORDER BY key.place) AS columns,
       pg_relation_size(index.indexrelid) AS bytes
  FROM pg_index AS index
  JOIN pg_class AS class ON class.oid = index.indexrelid
 WHERE index.indrelid = {table_literal}::regclass
 ORDER BY class.relname
