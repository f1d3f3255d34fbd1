-- Guarantees counts that cost the same however many jobs there are: each index is walked in its order up to $1 entries.
-- What it holds beyond is told by one more than that.
-- $1 how many to count at most, and one
WITH RECURSIVE available AS (
    SELECT count(*) AS jobs
      FROM (SELECT FROM {table} WHERE state = 'AVAILABLE' ORDER BY priority, schedule, id LIMIT $1) AS counted
), due AS MATERIALIZED (
    SELECT state, count(*) AS jobs
      FROM (SELECT state FROM {table} WHERE state IN ('SCHEDULED', 'RETRY') ORDER BY schedule LIMIT $1) AS counted
     GROUP BY state
), in_hands AS MATERIALIZED (
    SELECT state, updated_at, node
      FROM {table}
     WHERE state IN ('RESERVED', 'IN_PROGRESS')
     ORDER BY expires
     LIMIT $1
), held AS MATERIALIZED (
    SELECT state, count(*) AS jobs, min(updated_at) AS since
      FROM in_hands
     GROUP BY state
), failed AS (
    SELECT count(*) AS jobs, max(updated_at) AS latest
      FROM (SELECT updated_at FROM {table} WHERE state = 'FAILED' ORDER BY updated_at DESC, id DESC LIMIT $1) AS counted
), first AS (
    -- The first in line of each priority; more than so many priorities are not looked at.
    (SELECT priority, schedule, 1 AS nth
       FROM {table}
      WHERE state = 'AVAILABLE'
      ORDER BY priority, schedule, id
      LIMIT 1)
     UNION ALL
    SELECT next.priority, next.schedule, first.nth + 1
      FROM first
     CROSS JOIN LATERAL (
               SELECT priority, schedule
                 FROM {table}
                WHERE state = 'AVAILABLE' AND priority > first.priority
                ORDER BY priority, schedule, id
                LIMIT 1) AS next
     WHERE first.nth < 100
)
SELECT now() AS now,
       available.jobs AS available,
       COALESCE((SELECT jobs FROM due WHERE state = 'SCHEDULED'), 0) AS scheduled,
       COALESCE((SELECT jobs FROM due WHERE state = 'RETRY'), 0) AS retry,
       COALESCE((SELECT jobs FROM held WHERE state = 'RESERVED'), 0) AS reserved,
       COALESCE((SELECT jobs FROM held WHERE state = 'IN_PROGRESS'), 0) AS in_progress,
       failed.jobs AS failed,
       failed.latest AS failed_at,
       (SELECT count(DISTINCT node) FROM in_hands) AS processes,
       (SELECT since FROM held WHERE state = 'IN_PROGRESS') AS running_since,
       (SELECT min(schedule) FROM first) AS waiting_since,
       (SELECT min(schedule) FROM {table} WHERE state IN ('SCHEDULED', 'RETRY')) AS next_due,
       pg_relation_size({table_literal}::regclass) AS bytes,
       current_setting('block_size')::bigint AS block,
       pg_stat_get_tuples_inserted({table_literal}::regclass) AS inserted
  FROM available CROSS JOIN failed
