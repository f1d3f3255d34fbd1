-- Guarantees that jobs which wait for their time can be claimed at once. Waits for no lock.
-- $1 ids
WITH wanted AS (
    SELECT id FROM {table} WHERE id = ANY ($1) AND state COLLATE "C" IN ('SCHEDULED', 'RETRY')
), mine AS MATERIALIZED (
    SELECT id FROM {table} WHERE id = ANY ($1) AND state COLLATE "C" IN ('SCHEDULED', 'RETRY') ORDER BY id FOR UPDATE SKIP LOCKED
), done AS (
    UPDATE {table} AS job
       SET state = 'AVAILABLE',
           schedule = now(),
           late = pg_current_xact_id(),
           updated_at = now()
      FROM mine
     WHERE job.id = mine.id
    RETURNING job.id
), announced AS (
    SELECT count({schema}.job_queue_announce({table_literal}::regclass, {channel_literal}))
     WHERE EXISTS (SELECT FROM done)
)
SELECT (SELECT count(*) FROM wanted) AS wanted, (SELECT count(*) FROM done) AS done, announced.* FROM announced
