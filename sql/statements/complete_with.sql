-- Guarantees that a statement of the handler's takes effect if and only if the job is removed by it, for the
-- process that still holds the job: one statement is one transaction and one round trip. A job that was lost
-- fails it whole.
-- What is named here stands before the handler's tables of the same name, hence the long names.
-- the handler's own parameters, then the id and the lease
WITH job_queue_removed AS (
    DELETE FROM {table}
     WHERE id = {id}
       AND lease = {lease}
       -- Compared so, no partial index answers for the state: the row is found by its key.
       AND state COLLATE "C" = 'IN_PROGRESS'
    RETURNING id, lease, notify{kept_columns}
){kept}, job_queue_written AS (
{written}
)
SELECT CASE WHEN NOT EXISTS (SELECT FROM job_queue_removed)
            THEN {schema}.job_queue_refuse('JQ001', 'job ' || {id} || ' is no longer held by this attempt')
       END AS refused,
       (SELECT pg_notify({completed_literal}, notify) FROM job_queue_removed WHERE notify IS NOT NULL) AS told
