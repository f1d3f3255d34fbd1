-- Guarantees that a job is started by the process that reserved it, while its hold lasts, and by nobody
-- else afterwards: the lease moves on. Whatever is not returned must not be performed.
-- The state is compared under a collation of its own so that rows are found by their ids: the index of what
-- is held looks small, but keeps the entries of jobs long done while some transaction may still see them.
-- $1 ids, $2 leases, $3 execution timeouts in seconds, $4 node
UPDATE {table} AS job
   SET state = 'IN_PROGRESS',
       -- A row at the integer's end must not fail the jobs that start in the same statement.
       attempt = LEAST(job.attempt, 2147483646) + 1,
       lease = job.lease + 1,
       expires = now() + make_interval(secs => LEAST(wanted.timeout * (job.attempt::float8 + 1), 1e9)),
       updated_at = now()
  FROM unnest($1::bigint[], $2::bigint[], $3::float8[]) AS wanted (id, lease, timeout)
 WHERE job.id = wanted.id
   AND job.lease = wanted.lease
   AND job.state COLLATE "C" = 'RESERVED'
   AND job.node = $4
   AND job.expires > now()
RETURNING job.id, job.lease, job.attempt
