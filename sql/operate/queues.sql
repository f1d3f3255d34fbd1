-- Tells which queues a schema has, at which migration each is, and whether its table is there.
SELECT migrations.target AS queue,
       max(migrations.version) AS version,
       (SELECT max(version) FROM {schema}.job_queue_migrations WHERE target = '') AS shared,
       format_type((SELECT atttypid
                      FROM pg_attribute
                     WHERE attrelid = to_regclass({schema_literal} || '.' || quote_ident(migrations.target))
                       AND attname = 'params' AND NOT attisdropped), NULL) AS params
  FROM {schema}.job_queue_migrations AS migrations
 WHERE migrations.target <> ''
 GROUP BY migrations.target
 ORDER BY migrations.target
