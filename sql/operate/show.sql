-- Tells all that is known of one job, how many stand before it, and whether its process is alive.
-- $1 id, $2 how many of those before it to count
SELECT {columns},
       (SELECT known.dead_at FROM {schema}.job_queue_nodes AS known WHERE known.node = job.node) AS dead_at,
       CASE WHEN job.state = 'AVAILABLE' THEN (
           SELECT count(*)
             FROM (SELECT
                     FROM {table} AS earlier
                    WHERE earlier.state = 'AVAILABLE'
                      AND (earlier.priority, earlier.schedule, earlier.id) < (job.priority, job.schedule, job.id)
                    ORDER BY earlier.priority, earlier.schedule, earlier.id
                    LIMIT $2) AS before)
       END AS before,
       EXISTS (SELECT
                 FROM {schema}.job_queue_pauses AS pauses
                WHERE pauses.queue = {queue_literal} AND pauses.kind IN ('', {type})) AS paused,
       (SELECT count(*) FROM {schema}.job_queue_nodes WHERE dead_at > now()) AS alive
  FROM {table} AS job
 WHERE job.id = $1
