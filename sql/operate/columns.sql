job.id, job.state, job.expires, job.schedule, job.attempt, job.max_attempts,
       CASE WHEN pg_column_size(job.params) <= {params_limit} THEN job.params END AS params,
       pg_column_size(job.params) AS params_bytes,
       {type} AS kind,
       job.notify, job.priority, job.inserted_at, job.updated_at, job.lease, job.node,
       ({errors})::text AS errors,
       (SELECT known.name FROM {schema}.job_queue_nodes AS known WHERE known.node = job.node) AS process,
       now() AS now
