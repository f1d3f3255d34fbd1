-- Guarantees that a process which runs jobs is known to live, and that it learns which of them it has lost.
-- The state is compared under a collation of its own so that rows are found by their ids: the index of what
-- is held looks small, but keeps the entries of jobs long done while some transaction may still see them.
-- Each is looked for by itself: after a flood of jobs the planner takes the table for an empty one, and would rather go
-- through all entries of the primary key once.
-- $1 node, $2 name, $3 dead_after in seconds, $4 ids, $5 leases
WITH alive AS (
    INSERT INTO {schema}.job_queue_nodes AS known (node, name, dead_at)
    VALUES ($1, $2, now() + make_interval(secs => $3))
    ON CONFLICT (node) DO UPDATE SET dead_at = EXCLUDED.dead_at
)
SELECT job.id, job.lease
  FROM unnest($4::bigint[], $5::bigint[]) AS held (id, lease)
 CROSS JOIN LATERAL (
           SELECT id, lease
             FROM {table}
            WHERE id = held.id
              AND lease = held.lease
              AND state COLLATE "C" = 'IN_PROGRESS'
            LIMIT 1) AS job
