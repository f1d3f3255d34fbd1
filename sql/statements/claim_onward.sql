-- Guarantees what a claim does, but starts where earlier claims have come to, so that it need not walk over
-- the index entries of jobs that they took. Tells all that is needed to know where the next one may start:
-- the places of jobs that the claim before could not see and that may lie anywhere, those of jobs that stay
-- because others had locked them, what it has seen, and who may write still.
-- Of a claim that tells of a job as moved nothing else holds: where it came to is not known.
-- What is paused counts as not there; once it is resumed, claims begin anew without places.
-- $1 to $6 as in a claim, but $1 may be 0 for all that is told without a walk, $7 priorities, $8 schedules, $9 ids:
-- the places, one a priority and in this order, $10 the first transaction that the claim before was too early for, or
-- null, $11 those under way then, $12 whether to tell who may write
WITH {pauses}, unseen AS MATERIALIZED (
    -- These two are all that a snapshot does not see. The state is compared as in the index of what is late, and in no
    -- other: the planner must not take the index of all that can be claimed for as short.
    SELECT priority, schedule, id
      FROM {table}
     WHERE state COLLATE "C" = 'AVAILABLE' AND late >= $10::text::xid8
     UNION ALL
    SELECT priority, schedule, id
      FROM {table}
     WHERE state COLLATE "C" = 'AVAILABLE' AND late = ANY ($11::text[]::xid8[])
), late AS MATERIALIZED (
    SELECT DISTINCT ON (priority) priority, schedule, GREATEST(id, -9223372036854775807) - 1 AS id
      FROM unseen
     ORDER BY priority, schedule, id
), places AS (
    -- Whatever is more urgent than all that was seen.
    SELECT '-2147483648'::integer AS priority, '-infinity'::timestamptz AS schedule, '-9223372036854775808'::bigint AS id
     UNION ALL
    SELECT place.priority,
           CASE WHEN (late.schedule, late.id) < (place.schedule, place.id) THEN late.schedule ELSE place.schedule END,
           CASE WHEN (late.schedule, late.id) < (place.schedule, place.id) THEN late.id ELSE place.id END
      FROM unnest($7::integer[], $8::timestamptz[], $9::bigint[]) AS place (priority, schedule, id)
      LEFT JOIN late USING (priority)
), ranges AS MATERIALIZED (
    -- Each goes on from its place up to the next place's priority, through all priorities in between.
    SELECT priority, schedule, id, lead(priority::bigint, 1, 2147483648) OVER ascending AS until
      FROM places
    WINDOW ascending AS (ORDER BY priority, schedule, id)
     ORDER BY priority, schedule, id
), before AS MATERIALIZED (
    SELECT COALESCE(pg_stat_get_xact_tuples_returned(to_regclass($6)), 0)
           {lazily} AS walked,
           COALESCE(pg_stat_get_xact_blocks_fetched(to_regclass($6)), 0) AS pages
), picked AS MATERIALIZED (
    SELECT job.*
      FROM ranges
     CROSS JOIN LATERAL (
               SELECT priority, schedule, id, tableoid AS relation, ctid AS place
                 FROM {table} AS job
                WHERE state = 'AVAILABLE'
                  AND {open}
                  AND (priority, schedule, id) > (ranges.priority, ranges.schedule, ranges.id)
                  AND priority < ranges.until
                  AND (SELECT walked FROM before) >= 0
                ORDER BY priority, schedule, id
                LIMIT $1
                  FOR UPDATE SKIP LOCKED) AS job
     -- No order is asked for, so that no range is entered before the one before it has ended.
     LIMIT $1
), reached AS MATERIALIZED (
    SELECT COALESCE(max(priority), 2147483647) AS priority,
           COALESCE(max(schedule), 'infinity') AS schedule,
           COALESCE(max(id), 9223372036854775807) AS id
      FROM (SELECT * FROM picked ORDER BY priority, schedule, id OFFSET GREATEST($1, 1) - 1) AS last
), remaining AS MATERIALIZED (
    -- The first job of each range that stays there: others had locked it if it lies before the last that was picked.
    SELECT job.priority, job.schedule, GREATEST(job.id, -9223372036854775807) - 1 AS id
      FROM reached
      JOIN ranges ON (ranges.priority, ranges.schedule, ranges.id) < (reached.priority, reached.schedule, reached.id)
     CROSS JOIN LATERAL (
               SELECT priority, schedule, id
                 FROM {table} AS job
                WHERE state = 'AVAILABLE'
                  AND {open}
                  -- Who asks for nothing wants no walk, and none is needed where each entry that was walked was picked.
                  AND $1 > 0
                  AND (SELECT CASE WHEN count(*) = 0 THEN true
                                   ELSE pg_stat_get_xact_tuples_returned(to_regclass($6))
                                        - (SELECT walked FROM before) IS DISTINCT FROM count(*) END
                         FROM picked)
                  AND (priority, schedule, id) > (ranges.priority, ranges.schedule, ranges.id)
                  AND priority < ranges.until
                  AND id NOT IN (SELECT id FROM picked)
                ORDER BY priority, schedule, id
                LIMIT 1) AS job
), {reservation}, writers AS MATERIALIZED (
    -- Whoever waits for the lock counts too: its statement has begun. A prepared transaction has no start.
    SELECT array_agg(held.virtualtransaction) AS transactions,
           array_agg((SELECT session.xact_start FROM pg_stat_get_activity(held.pid) AS session)) AS starts
      FROM pg_locks AS held
     WHERE $12
       AND held.locktype = 'relation'
       AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND held.relation = {table_literal}::regclass
       AND held.mode = 'RowExclusiveLock'
       AND held.pid IS DISTINCT FROM pg_backend_pid()
), next AS (
    -- Sweeps see to what has been due for longer, of which many entries may be left.
    SELECT EXTRACT(epoch FROM min(schedule) - now())::float8 AS due_in
      FROM {table}
     WHERE state IN ('SCHEDULED', 'RETRY')
       AND schedule > now() - interval '2 seconds'
)
-- What is told of the claim as a whole, after the walk, in a row without a job.
SELECT next.due_in,
       now() AS at,
       pg_snapshot_xmax(pg_current_snapshot())::text AS xmax,
       ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot())::text) AS xip,
       COALESCE(writers.transactions, '{}') AS writers,
       COALESCE(writers.starts, '{}') AS starts,
       ARRAY(SELECT priority FROM late ORDER BY priority) AS late_priorities,
       ARRAY(SELECT schedule FROM late ORDER BY priority) AS late_schedules,
       ARRAY(SELECT id FROM late ORDER BY priority) AS late_ids,
       ARRAY(SELECT priority FROM remaining ORDER BY priority) AS remaining_priorities,
       ARRAY(SELECT schedule FROM remaining ORDER BY priority) AS remaining_schedules,
       ARRAY(SELECT id FROM remaining ORDER BY priority) AS remaining_ids,
       CASE WHEN (SELECT count(*) FROM claimed) >= 0
            THEN pg_stat_get_xact_tuples_returned(to_regclass($6)) - (SELECT walked FROM before) END AS walked,
       CASE WHEN (SELECT count(*) FROM claimed) >= 0
            THEN pg_stat_get_xact_blocks_fetched(to_regclass($6)) - (SELECT pages FROM before) END AS pages,
       (SELECT kinds FROM pauses) AS paused,
       (SELECT count(*) FROM picked) > (SELECT count(*) FROM claimed) AS moved,
       claimed.*
  FROM next CROSS JOIN writers LEFT JOIN claimed ON false
 UNION ALL
-- The jobs come in no order, as those of a claim do.
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, claimed.*
  FROM claimed
