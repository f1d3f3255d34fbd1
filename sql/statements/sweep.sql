-- Guarantees that what is due becomes available and that what a dead process or a lapsed hold left behind
-- comes back, in bounded batches and without waiting for a lock that a handler holds; tells when to look next.
--
-- Entries of jobs long gone stay in the indexes while some transaction may still see them. A sweep that need
-- not look over everything, since one has done so not long ago, starts where the last one ended, looks for
-- holds that have lapsed only, and tells whether a process has died meanwhile, whose holds are not in order.
-- $1 batch, $2 grace in seconds for a lapsed execution, whose own process comes first, $3 and $4 the due time
-- and the end of hold to start at, $5 when everything was last looked over; all three are null to do so now, and $3 to
-- look over all that is due
WITH due AS MATERIALIZED (
    SELECT id
      FROM {table}
     WHERE state IN ('SCHEDULED', 'RETRY')
       AND schedule <= now()
       AND ($3::timestamptz IS NULL OR schedule >= $3)
     ORDER BY schedule
     LIMIT $1
       FOR UPDATE SKIP LOCKED
), activated AS (
    UPDATE {table} AS job
       SET state = 'AVAILABLE',
           expires = NULL,
           late = pg_current_xact_id(),
           updated_at = now()
      FROM due
     WHERE job.id = due.id
    RETURNING job.id
), abandoned AS MATERIALIZED (
    -- What is locked must be the very hold that was looked at. A job may have come back and gone to another process
    -- since this statement's snapshot, and of the row's new version PostgreSQL would ask only whether it is held: the
    -- process beside it would still be the dead one.
    SELECT seen.id, seen.cause
      FROM (SELECT job.id,
                   job.lease,
                   job.node,
                   job.expires,
                   CASE WHEN job.node IS NULL OR alive.node IS NOT NULL
                        THEN 'the hold lapsed' || COALESCE(' (process ' || job.node || ')', '')
                        ELSE 'the process that ran it died (process ' || job.node || ')'
                   END AS cause
              FROM {table} AS job
              LEFT JOIN {schema}.job_queue_nodes AS alive ON alive.node = job.node AND alive.dead_at > now()
             WHERE job.state IN ('RESERVED', 'IN_PROGRESS')
               AND (job.node IS NOT NULL AND alive.node IS NULL
                    OR job.expires < now()
                                   - make_interval(secs => CASE job.state WHEN 'IN_PROGRESS' THEN $2 ELSE 0 END))
               AND ($4::timestamptz IS NULL OR job.expires >= $4 AND job.expires < now())
             ORDER BY job.expires) AS seen
     CROSS JOIN LATERAL (
               SELECT id
                 FROM {table}
                WHERE id = seen.id
                  AND lease = seen.lease
                  AND expires = seen.expires
                  AND node IS NOT DISTINCT FROM seen.node
                LIMIT 1
                  FOR UPDATE SKIP LOCKED) AS job
     LIMIT $1
), rescued AS (
    UPDATE {table} AS job
       SET state = CASE WHEN job.state = 'IN_PROGRESS' AND job.attempt >= job.max_attempts
                        THEN 'FAILED' ELSE 'AVAILABLE' END,
           expires = NULL,
           node = NULL,
           late = pg_current_xact_id(),
           errors = CASE WHEN job.state = 'IN_PROGRESS' THEN {schema}.job_queue_record(
                         job.errors, job.attempt, jsonb_build_array(abandoned.cause), job.updated_at, job.node)
                    ELSE job.errors END,
           updated_at = now()
      FROM abandoned
     WHERE job.id = abandoned.id
    RETURNING job.id, job.state, job.notify
), told AS (
    SELECT count(pg_notify({failed_literal}, notify)) FROM rescued WHERE state = 'FAILED' AND notify IS NOT NULL
), announced AS (
    SELECT count({schema}.job_queue_announce({table_literal}::regclass, {channel_literal}))
     WHERE EXISTS (SELECT FROM activated) OR EXISTS (SELECT FROM rescued WHERE state <> 'FAILED')
)
SELECT (SELECT count(*) FROM activated) AS activated,
       (SELECT count(*) FROM rescued WHERE state = 'AVAILABLE') AS rescued,
       (SELECT count(*) FROM rescued WHERE state = 'FAILED') AS failed,
       $5::timestamptz IS NULL AND EXISTS (SELECT FROM {table} WHERE state = 'AVAILABLE') AS available,
       -- What was skipped because somebody had locked it is due still, and at once.
       EXTRACT(epoch FROM undone.schedule - now())::float8 AS due_in,
       CASE WHEN $5::timestamptz IS NULL
            THEN EXTRACT(epoch FROM held.ends - now())::float8
            ELSE (SELECT EXTRACT(epoch FROM min(dead_at) - now())::float8
                    FROM {schema}.job_queue_nodes
                   WHERE dead_at > now())
       END AS lapse_in,
       held.processes,
       EXISTS (SELECT FROM {schema}.job_queue_nodes WHERE dead_at > $5 AND dead_at <= now()) AS died,
       now() AS at,
       -- What is committed later than this after its time is left to a sweep of everything.
       LEAST(undone.schedule, now() - interval '2 seconds') AS due_from,
       LEAST(undone.expires, now() - interval '2 seconds') AS held_from,
       told.*,
       announced.*
  FROM told
 CROSS JOIN announced
 CROSS JOIN (
           SELECT min(LEAST(job.expires + make_interval(secs => CASE job.state WHEN 'IN_PROGRESS' THEN $2 ELSE 0 END),
                            known.dead_at)) AS ends,
                  count(DISTINCT job.node) AS processes
             FROM {table} AS job
             LEFT JOIN {schema}.job_queue_nodes AS known ON known.node = job.node
            WHERE $5::timestamptz IS NULL
              AND job.state IN ('RESERVED', 'IN_PROGRESS')
              AND job.id NOT IN (SELECT id FROM abandoned)) AS held
 CROSS JOIN (
           SELECT (SELECT min(schedule)
                     FROM {table}
                    WHERE state IN ('SCHEDULED', 'RETRY')
                      AND ($3::timestamptz IS NULL OR schedule >= $3)
                      AND id NOT IN (SELECT id FROM due)) AS schedule,
                  (SELECT min(expires)
                     FROM {table}
                    WHERE state IN ('RESERVED', 'IN_PROGRESS')
                      AND ($4::timestamptz IS NULL OR expires >= $4)
                      AND expires < now()
                      AND id NOT IN (SELECT id FROM abandoned)) AS expires) AS undone
