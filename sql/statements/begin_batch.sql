-- Guarantees for the jobs of a batch what begin_completion.sql does for one. A job that is not among the rows was
-- lost, and whoever began must roll back then: its effects may be among what is to be written. The rows are
-- locked in the order of their ids, so that no two batches wait for each other.
-- $1 ids, $2 leases
WITH mine AS MATERIALIZED (
    -- One look into the index a job, whatever the planner knows of the table. The state is compared under a
    -- collation of its own, so that no partial index answers for it.
    SELECT job.id
      FROM (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease) ORDER BY id) AS wanted
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
SELECT id,
       lease,
       pg_current_xact_id()::text::bigint AS xid,
       CASE WHEN notify IS NOT NULL THEN pg_notify({completed_literal}, notify) END
  FROM removed
