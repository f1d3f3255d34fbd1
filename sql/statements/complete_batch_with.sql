-- Guarantees for the jobs of a batch what complete_with.sql does for one: the handler's statement takes effect if and
-- only if all of them are removed by it. If one was lost, nothing is removed and nothing written. The rows are locked
-- in the order of their ids, so that no two batches wait for each other.
-- the handler's own parameters, then the ids and the leases
WITH mine AS MATERIALIZED (
    -- One look into the index a job, as in begin_batch.sql.
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
){kept}, written AS (
{written}
)
SELECT CASE WHEN (SELECT count(*) FROM removed) < cardinality({ids}::bigint[])
            THEN {schema}.job_queue_refuse('JQ001', 'a job of the batch is no longer held by this attempt')
       END AS refused,
       (SELECT count(pg_notify({completed_literal}, notify)) FROM removed WHERE notify IS NOT NULL) AS told
