-- Guarantees two things of many jobs in one commit. Jobs with nothing to write are removed by the process that
-- still holds them; a row that somebody has locked is left and not waited for. Reserved jobs are started by the
-- process that reserved them, while their hold lasts, and by nobody else afterwards: the lease moves on. What is
-- not returned was not removed, or must not be performed.
-- $1 ids and $2 leases to remove, $3 ids, $4 leases and $5 execution timeouts in seconds to start, $6 node
WITH mine AS MATERIALIZED (
    SELECT job.id
      FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease)
      JOIN {table} AS job USING (id, lease)
           -- Compared so, no partial index answers for the state: each row is found by its key, and nobody walks
           -- over what others hold or held.
     WHERE job.state COLLATE "C" = 'IN_PROGRESS'
     ORDER BY job.id
       FOR UPDATE OF job SKIP LOCKED
), removed AS (
    DELETE FROM {table} AS job
     USING mine
     WHERE job.id = mine.id
    RETURNING job.id, job.lease, job.notify
), told AS (
    SELECT count(pg_notify({completed_literal}, notify)) FROM removed WHERE notify IS NOT NULL
), started AS (
    UPDATE {table} AS job
       SET state = 'IN_PROGRESS',
           -- A row at the integer's end must not fail the jobs that start in the same statement.
           attempt = LEAST(job.attempt, 2147483646) + 1,
           lease = job.lease + 1,
           expires = now() + make_interval(secs => LEAST(wanted.timeout * (job.attempt::float8 + 1), 1e9)),
           updated_at = now()
      FROM unnest($3::bigint[], $4::bigint[], $5::float8[]) AS wanted (id, lease, timeout)
     WHERE job.id = wanted.id
       AND job.lease = wanted.lease
       AND job.state COLLATE "C" = 'RESERVED'
       AND job.node = $6
       AND job.expires > now()
    RETURNING job.id, job.lease, job.attempt
)
SELECT removed.id, removed.lease, NULL AS attempt
  FROM removed CROSS JOIN told
UNION ALL
SELECT id, lease, attempt
  FROM started
