-- Part of each removal of a batch. Guarantees that no two batches wait for each other: each locks its rows by id.
mine AS MATERIALIZED (
    -- One look into the index a job, whatever the planner knows; under this collation no partial index answers.
    SELECT job.id
      FROM (SELECT * FROM unnest({ids}::bigint[], {leases}::bigint[]) AS wanted (id, lease) ORDER BY id) AS wanted
     CROSS JOIN LATERAL (
               SELECT id
                 FROM {table}
                WHERE id = wanted.id
                  AND lease = wanted.lease
                  AND state COLLATE "C" = 'IN_PROGRESS'
                LIMIT 1
                  FOR UPDATE) AS job
), removed AS (
    DELETE FROM {table}
     WHERE id = ANY (ARRAY(SELECT id FROM mine))
    RETURNING id, lease, notify{kept_columns}
){kept}
