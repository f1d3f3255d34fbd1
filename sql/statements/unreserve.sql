-- Guarantees that what this process has reserved and will not start is available again at once.
-- $1 node, $2 ids, or null for all
WITH mine AS MATERIALIZED (
    SELECT id
      FROM {table}
     WHERE state = 'RESERVED'
       AND node = $1
       AND ($2::bigint[] IS NULL OR id = ANY ($2))
     ORDER BY id
       FOR UPDATE SKIP LOCKED
), returned AS (
    UPDATE {table} AS job
       SET state = 'AVAILABLE',
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
SELECT (SELECT count(*) FROM returned) AS returned, announced.*
  FROM announced
