-- Guarantees that jobs with nothing to write are removed by the process that still holds them; many share
-- one commit. Waits for no lock: a row that somebody has locked is reported as busy, and one that is not there
-- as gone.
-- The state is compared under a collation of its own so that rows are found by their ids: the index of what
-- is held looks small, but keeps the entries of jobs long done while some transaction may still see them.
-- $1 ids, $2 leases
WITH wanted AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease)
), mine AS MATERIALIZED (
    SELECT job.id, job.lease
      FROM {table} AS job JOIN wanted USING (id, lease)
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
SELECT wanted.id,
       wanted.lease,
       CASE WHEN completed.id IS NOT NULL THEN 'DONE'
            WHEN EXISTS (SELECT FROM {table} AS job
                          WHERE job.id = wanted.id AND job.lease = wanted.lease AND job.state COLLATE "C" = 'IN_PROGRESS')
            THEN 'BUSY'
            WHEN NOT EXISTS (SELECT FROM {table} AS job WHERE job.id = wanted.id) THEN 'GONE'
            ELSE 'LOST'
       END AS outcome
  FROM wanted
  LEFT JOIN completed USING (id, lease)
 CROSS JOIN told
