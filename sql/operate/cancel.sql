-- Guarantees that jobs which have not ended do not run on: they are FAILED and say who did it. A handler that runs one
-- is told by its process's next heartbeat, and its completion is refused, for the state is matched there. Waits for no lock:
-- a job whose completion is open is left.
-- $1 ids, $2 what is kept as the error, as JSON
WITH wanted AS (
    SELECT id FROM {table} WHERE id = ANY ($1) AND state COLLATE "C" <> 'FAILED'
), mine AS MATERIALIZED (
    SELECT id FROM {table} WHERE id = ANY ($1) AND state COLLATE "C" <> 'FAILED' ORDER BY id FOR UPDATE SKIP LOCKED
), done AS (
    UPDATE {table} AS job
       SET state = 'FAILED',
           errors = {schema}.job_queue_record(job.errors, job.attempt, $2::jsonb,
               CASE WHEN job.state = 'IN_PROGRESS' THEN job.updated_at END, job.node),
           expires = NULL,
           node = NULL,
           updated_at = now()
      FROM mine
     WHERE job.id = mine.id
    RETURNING job.id, job.notify
), told AS (
    SELECT count(pg_notify({failed_literal}, notify)) FROM done WHERE notify IS NOT NULL
)
SELECT (SELECT count(*) FROM wanted) AS wanted, (SELECT count(*) FROM done) AS done, told.* FROM told
