-- Guarantees that what this process has claimed and will not perform is available again at once. What its claim
-- has started already is given back without counting the attempt. Waits for no lock, and tells whose rows somebody
-- has locked: a claim that looked at a job just before another one took it keeps its row locked until it ends.
-- $1 node, $2 ids, or null for all, $3 ids of what it performs, or null if its claims start nothing
WITH held AS MATERIALIZED (
    SELECT id
      FROM {table}
     WHERE state IN ('RESERVED', 'IN_PROGRESS')
       AND (state = 'RESERVED' OR id <> ALL ($3::bigint[]))
       AND node = $1
       AND ($2::bigint[] IS NULL OR id = ANY ($2))
), mine AS MATERIALIZED (
    SELECT job.id
      FROM held JOIN {table} AS job USING (id)
     WHERE job.state COLLATE "C" IN ('RESERVED', 'IN_PROGRESS')
       AND (job.state COLLATE "C" = 'RESERVED' OR job.id <> ALL ($3::bigint[]))
       AND job.node = $1
     ORDER BY job.id
       FOR UPDATE OF job SKIP LOCKED
), returned AS (
    UPDATE {table} AS job
       SET state = 'AVAILABLE',
           attempt = CASE job.state WHEN 'IN_PROGRESS' THEN GREATEST(job.attempt - 1, 0) ELSE job.attempt END,
           expires = NULL,
           node = NULL,
           late = pg_current_xact_id(),
           updated_at = now()
      FROM mine
     WHERE job.id = mine.id
    RETURNING job.id
), announced AS (
    SELECT count({schema}.job_queue_announce({table_literal}::regclass, {channel_literal}))
     WHERE EXISTS (SELECT FROM returned)
)
SELECT (SELECT count(*) FROM returned) AS returned,
       ARRAY(SELECT id FROM held EXCEPT SELECT id FROM returned) AS locked,
       announced.*
  FROM announced
