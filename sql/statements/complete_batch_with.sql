-- Guarantees for the jobs of a batch what complete_with.sql does for one: the handler's statement takes effect if and
-- only if all of them are removed by it. If one was lost, nothing is removed and nothing written.
-- the handler's own parameters, then the ids and the leases
WITH {remove_batch}, job_queue_written AS (
{written}
)
SELECT CASE WHEN (SELECT count(*) FROM job_queue_removed) < cardinality({ids}::bigint[])
            THEN {schema}.job_queue_refuse('JQ001', 'a job of the batch is no longer held by this attempt')
       END AS refused,
       (SELECT count(pg_notify({completed_literal}, notify)) FROM job_queue_removed WHERE notify IS NOT NULL) AS told
