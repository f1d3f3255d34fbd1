-- Guarantees that jobs with nothing to write are removed by the process that still holds them; many share
-- one commit. Waits for no lock: a row that somebody has locked is left, like one that is not there. What is
-- not returned was not removed.
-- $1 ids, $2 leases
WITH mine AS MATERIALIZED (
    SELECT job.id
      FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease)
      JOIN {table} AS job USING (id, lease)
           -- Compared so, no partial index answers for the state: each row is found by its key, and nobody walks
           -- over what others hold or held.
     WHERE job.state COLLATE "C" = 'IN_PROGRESS'
     ORDER BY job.id
       FOR UPDATE OF job SKIP LOCKED
), completed AS (
    DELETE FROM {table} AS job
     USING mine
     WHERE job.id = mine.id
    RETURNING job.id, job.lease, job.notify
), told AS (
    SELECT count(pg_notify({completed_literal}, notify)) FROM completed WHERE notify IS NOT NULL
)
SELECT completed.id, completed.lease
  FROM completed CROSS JOIN told
