-- Guarantees that jobs are gone, whatever their state; a handler that runs one learns it as from a cancel. Waits for no
-- lock: a job whose completion is open is left.
-- $1 ids, $2 only those in these states, or null
WITH wanted AS (
    SELECT id FROM {table} WHERE id = ANY ($1) AND ($2::text[] IS NULL OR state COLLATE "C" = ANY ($2))
), mine AS MATERIALIZED (
    SELECT id
      FROM {table}
     WHERE id = ANY ($1) AND ($2::text[] IS NULL OR state COLLATE "C" = ANY ($2))
     ORDER BY id
       FOR UPDATE SKIP LOCKED
), done AS (
    DELETE FROM {table} WHERE id = ANY (ARRAY(SELECT id FROM mine)) RETURNING id
)
SELECT (SELECT count(*) FROM wanted) AS wanted, (SELECT count(*) FROM done) AS done
