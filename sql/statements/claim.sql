-- Guarantees that a job is reserved by one process at most, in the order (priority, schedule, id), and
-- that a process which holds jobs counts as alive from the same commit on. Tells when the next job is due,
-- so that nobody has to ask, and how many index entries were walked for it on how many pages: those of jobs
-- long gone stay while some transaction may still see them, and their pages until a vacuum comes by. Rows that
-- others have locked are skipped, never waited for; so are those that were changed since the claim began, which
-- it tells.
-- $1 how many, $2 reservation_timeout or execution_timeout in seconds, $3 node, $4 dead_after in seconds, $5 name of the process
-- $6 the index that is walked
WITH {pauses}, before AS MATERIALIZED (
    SELECT COALESCE(pg_stat_get_xact_tuples_returned(to_regclass($6)), 0)
           {lazily} AS walked,
           COALESCE(pg_stat_get_xact_blocks_fetched(to_regclass($6)), 0) AS pages
), picked AS MATERIALIZED (
    SELECT tableoid AS relation, ctid AS place
      FROM {table} AS job
     WHERE state = 'AVAILABLE'
       AND {open}
       -- Counted before the walk begins.
       AND (SELECT walked FROM before) >= 0
     ORDER BY priority, schedule, id
     LIMIT $1
       FOR UPDATE SKIP LOCKED
), {reservation}, next AS (
    SELECT EXTRACT(epoch FROM min(schedule) - now())::float8 AS due_in
      FROM {table}
     WHERE state IN ('SCHEDULED', 'RETRY')
)
-- What is told of the claim as a whole, after the walk, in a row without a job.
SELECT next.due_in,
       CASE WHEN (SELECT count(*) FROM claimed) >= 0
            THEN pg_stat_get_xact_tuples_returned(to_regclass($6)) - (SELECT walked FROM before) END AS walked,
       CASE WHEN (SELECT count(*) FROM claimed) >= 0
            THEN pg_stat_get_xact_blocks_fetched(to_regclass($6)) - (SELECT pages FROM before) END AS pages,
       (SELECT kinds FROM pauses) AS paused,
       (SELECT count(*) FROM picked) > (SELECT count(*) FROM claimed) AS moved,
       claimed.*
  FROM next LEFT JOIN claimed ON false
 UNION ALL
-- The jobs come in no order: whoever reads them sorts them, for less than it would cost here.
SELECT NULL, NULL, NULL, NULL, NULL, claimed.*
  FROM claimed
