-- Guarantees that a start tells everything that is missing at once.
-- $1 schema, $2 table
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS has_schema,
       COALESCE((SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1), false) AS usage,
       queue.oid AS queue,
       (SELECT format_type(atttypid, NULL)
          FROM pg_attribute WHERE attrelid = queue.oid AND attname = 'params' AND NOT attisdropped) AS params,
       shared.oid AS migrations,
       nodes.oid AS nodes,
       ARRAY(SELECT privilege
               FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
              WHERE queue.oid IS NOT NULL AND NOT has_table_privilege(queue.oid, privilege)) AS missing_on_queue,
       ARRAY(SELECT c.relname || ':' || string_agg(privilege, ', ' ORDER BY place)
               FROM (VALUES ('job_queue_nodes', 'SELECT INSERT UPDATE DELETE'),
                            ('job_queue_activity', 'SELECT INSERT UPDATE DELETE'),
                            ('job_queue_failures', 'SELECT INSERT UPDATE DELETE'),
                            ('job_queue_history', 'SELECT INSERT UPDATE DELETE'),
                            ('job_queue_pauses', 'SELECT')) AS needed (relation, privileges)
               JOIN pg_class AS c ON c.relname = needed.relation
               JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = $1
              CROSS JOIN unnest(string_to_array(needed.privileges, ' ')) WITH ORDINALITY AS one (privilege, place)
              WHERE NOT has_table_privilege(c.oid, privilege)
              GROUP BY c.relname
              ORDER BY c.relname) AS missing_on_shared,
       ARRAY(SELECT format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid))
               FROM pg_proc AS f JOIN pg_namespace AS n ON n.oid = f.pronamespace
              WHERE n.nspname = $1 AND f.proname IN ('job_queue_announce', 'job_queue_announce_to_waiting', 'job_queue_record',
                                                    'job_queue_refuse', 'job_queue_add')
                AND NOT has_function_privilege(f.oid, 'EXECUTE')
              ORDER BY f.proname) AS missing_functions,
       COALESCE(has_table_privilege(shared.oid, 'SELECT'), true) AS reads_migrations,
       current_user::text AS role
  FROM (VALUES (1)) AS one
  LEFT JOIN (SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
              WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')) AS queue ON true
  LEFT JOIN (SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
              WHERE n.nspname = $1 AND c.relname = 'job_queue_migrations') AS shared ON true
  LEFT JOIN (SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
              WHERE n.nspname = $1 AND c.relname = 'job_queue_nodes') AS nodes ON true
