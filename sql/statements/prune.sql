-- Guarantees that completed jobs are kept no longer, and no more of them, than the queue says; so many go at a time.
-- $1 for how long, in seconds, $2 how many, $3 batch
WITH last AS (
    -- The newest that has to go.
    SELECT at, id
      FROM (SELECT now() - make_interval(secs => $1) AS at, 9223372036854775807 AS id
             UNION ALL
            (SELECT completed_at, id
               FROM {schema}.job_queue_history
              WHERE queue = {queue_literal}
              ORDER BY completed_at DESC, id DESC
             OFFSET $2
              LIMIT 1)) AS limits
     ORDER BY at DESC, id DESC
     LIMIT 1
), old AS (
    SELECT history.ctid
      FROM {schema}.job_queue_history AS history
     WHERE queue = {queue_literal}
       AND (completed_at, id) <= ((SELECT at FROM last), (SELECT id FROM last))
     ORDER BY completed_at, id
     LIMIT $3
       FOR UPDATE SKIP LOCKED
)
DELETE FROM {schema}.job_queue_history WHERE ctid = ANY (ARRAY(SELECT ctid FROM old))
RETURNING id
