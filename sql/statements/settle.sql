-- Guarantees that an attempt which did not complete leaves its error beside the job, and that only the
-- process that still holds the job decides what becomes of it. Waits for no lock: a row that somebody has
-- locked is left, like one that is not there. What is not returned was not settled. Whoever waits for work hears of it.
-- $1 ids, $2 leases, $3 verdicts (RETRY, FAIL, SNOOZE, RETURN), $4 delays in seconds, $5 errors as JSON or null
WITH mine AS MATERIALIZED (
    SELECT job.id, job.lease, wanted.verdict, wanted.delay, wanted.error::jsonb AS error
      FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::float8[], $5::text[])
           AS wanted (id, lease, verdict, delay, error)
     CROSS JOIN LATERAL (
               SELECT id, lease
                 {held}
                  FOR UPDATE SKIP LOCKED) AS job
), settled AS (
    UPDATE {table} AS job
       SET state = CASE mine.verdict
                   WHEN 'SNOOZE' THEN 'SCHEDULED'
                   WHEN 'RETURN' THEN 'AVAILABLE'
                   WHEN 'RETRY' THEN CASE WHEN job.attempt < job.max_attempts THEN 'RETRY' ELSE 'FAILED' END
                   ELSE 'FAILED'
                   END,
           -- An attempt that was put off, broken off by a shutdown, or never came to its handler does not count.
           attempt = job.attempt - CASE WHEN mine.verdict IN ('SNOOZE', 'RETURN') THEN 1 ELSE 0 END,
           schedule = CASE
                      WHEN mine.verdict = 'SNOOZE' OR mine.verdict = 'RETRY' AND job.attempt < job.max_attempts
                      THEN now() + make_interval(secs => mine.delay)
                      ELSE job.schedule
                      END,
           expires = NULL,
           node = NULL,
           late = pg_current_xact_id(),
           errors = CASE WHEN mine.error IS NULL THEN job.errors
                         ELSE {schema}.job_queue_record(job.errors, job.attempt, mine.error, job.updated_at, job.node) END,
           updated_at = now()
      FROM mine
     -- Asked for so, a row can only be looked up.
     WHERE job.id = ANY (ARRAY[mine.id])
    RETURNING job.id, job.lease, job.state, job.notify
), told AS (
    SELECT count(CASE state
                 WHEN 'RETRY' THEN pg_notify({retry_literal}, notify)
                 WHEN 'FAILED' THEN pg_notify({failed_literal}, notify)
                 END)
      FROM settled
     WHERE notify IS NOT NULL
), announced AS (
    SELECT count({schema}.job_queue_announce({table_literal}::regclass, {channel_literal}))
     WHERE EXISTS (SELECT FROM settled WHERE state <> 'FAILED')
)
SELECT settled.id, settled.lease, settled.state AS outcome
  FROM settled CROSS JOIN told CROSS JOIN announced
