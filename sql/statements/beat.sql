-- Guarantees that a process which runs jobs is known to live, and that it learns which of them it has lost.
-- $1 node, $2 name, $3 dead_after in seconds, $4 ids, $5 leases
WITH alive AS (
    INSERT INTO {schema}.job_queue_nodes AS known (node, name, dead_at)
    VALUES ($1, $2, now() + make_interval(secs => $3))
    ON CONFLICT (node) DO UPDATE SET dead_at = EXCLUDED.dead_at
)
SELECT job.id, job.lease
  FROM unnest($4::bigint[], $5::bigint[]) AS wanted (id, lease)
 CROSS JOIN LATERAL (
           SELECT id, lease
             {held}) AS job
