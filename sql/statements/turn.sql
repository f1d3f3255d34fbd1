-- Guarantees two things of many jobs in one commit. Jobs with nothing to write are removed by the process that
-- still holds them; a row that somebody has locked is left and not waited for. Reserved jobs are started by the
-- process that reserved them, while their hold lasts, and by nobody else afterwards: the lease moves on. What is
-- not told of as started must not be performed.
-- $1 ids and $2 leases to remove, $3 ids, $4 leases and $5 execution timeouts in seconds to start, $6 node
WITH mine AS MATERIALIZED (
    SELECT job.relation, job.place
      FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease)
     CROSS JOIN LATERAL (
               SELECT tableoid AS relation, ctid AS place
                 {held}
                  FOR UPDATE SKIP LOCKED) AS job
), job_queue_removed AS (
    -- By its place, which is the row's as long as it is locked. One that was changed since this statement's snapshot is
    -- not seen at its new place, and is left like one that somebody has locked.
    DELETE FROM {table}
     WHERE ctid = ANY (ARRAY(SELECT place FROM mine))
       AND ({undivided} OR ((tableoid, ctid) IN (SELECT relation, place FROM mine)) IS TRUE)
    RETURNING id, lease, notify{kept_columns}
){kept}, missed AS (
    SELECT count(*) < cardinality($1) AS any
      FROM job_queue_removed
), started AS (
    UPDATE {table} AS job
       SET state = 'IN_PROGRESS',
           -- A row at the end of its numbers must not fail the jobs that start in the same statement.
           attempt = LEAST(job.attempt, 2147483646) + 1,
           lease = LEAST(job.lease, 9223372036854775806) + 1,
           expires = now() + make_interval(secs => LEAST(wanted.timeout * (job.attempt::float8 + 1), 1e9)),
           updated_at = now()
      FROM unnest($3::bigint[], $4::bigint[], $5::float8[]) AS wanted (id, lease, timeout)
     -- Asked for so, a row can only be looked up: of a table that was empty the planner would rather read all, for good.
     WHERE job.id = ANY (ARRAY[wanted.id])
       AND job.lease = wanted.lease
       AND job.state COLLATE "C" = 'RESERVED'
       AND job.node = $6
       AND job.expires > now()
    RETURNING job.id, job.lease, job.attempt, {waited} AS waited
)
-- One row for all, since a row a job costs much to send and to read. Those that were removed are told only if some were not.
SELECT (SELECT count(pg_notify({completed_literal}, notify)) FROM job_queue_removed WHERE notify IS NOT NULL) AS told,
       CASE WHEN missed.any THEN ARRAY(SELECT id FROM job_queue_removed) END AS removed,
       CASE WHEN missed.any THEN ARRAY(SELECT lease FROM job_queue_removed) END AS removed_leases,
       ARRAY(SELECT id FROM started) AS started,
       ARRAY(SELECT lease FROM started) AS leases,
       ARRAY(SELECT attempt FROM started) AS attempts,
       ARRAY(SELECT waited FROM started) AS waits
  FROM missed
