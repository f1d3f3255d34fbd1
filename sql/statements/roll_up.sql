-- Guarantees that what was written down takes bounded room, and that none of it is lost or told twice meanwhile: minutes that are
-- told one by one no longer share a row, which is that of the first minute of their quarter of an hour, and what is older
-- still goes. So many rows at a time, the oldest first; what somebody has locked is left for the next time.
-- $1 and $2 for how long minutes and reasons are kept, $3 for how long minutes are told one by one, $4 how long a quarter is, all
-- in seconds; $5 how many rows
WITH place AS MATERIALIZED (
    SELECT to_timestamp(floor(date_part('epoch', now() - make_interval(secs => $1)) / $4) * $4) AS kept,
           to_timestamp(floor(date_part('epoch', now() - make_interval(secs => $3)) / $4) * $4) AS fine
), old_minutes AS (
    DELETE FROM {schema}.job_queue_activity AS old
     USING (SELECT queue, minute, kind
              FROM {schema}.job_queue_activity
             WHERE queue = {queue_literal} AND minute < (SELECT kept FROM place)
             ORDER BY queue, minute, kind
             LIMIT $5
               FOR UPDATE SKIP LOCKED) AS gone
     WHERE old.queue = gone.queue AND old.minute = gone.minute AND old.kind = gone.kind
    RETURNING old.minute
), old_reasons AS (
    DELETE FROM {schema}.job_queue_failures AS old
     USING (SELECT queue, hour, kind, error
              FROM {schema}.job_queue_failures
             WHERE queue = {queue_literal} AND hour < now() - make_interval(secs => $2)
             ORDER BY queue, hour, kind, error
             LIMIT $5
               FOR UPDATE SKIP LOCKED) AS gone
     WHERE old.queue = gone.queue AND old.hour = gone.hour AND old.kind = gone.kind AND old.error = gone.error
    RETURNING old.hour
), minutes AS (
    DELETE FROM {schema}.job_queue_activity AS old
     USING (SELECT queue, minute, kind, quarter
              FROM {schema}.job_queue_activity,
                   LATERAL (SELECT to_timestamp(floor(date_part('epoch', minute) / $4) * $4) AS quarter) AS of
             WHERE queue = {queue_literal}
               AND minute >= (SELECT kept FROM place)
               AND minute < (SELECT fine FROM place)
               AND minute <> quarter
             ORDER BY queue, minute, kind
             LIMIT $5
               FOR UPDATE OF job_queue_activity SKIP LOCKED) AS gone
     WHERE old.queue = gone.queue AND old.minute = gone.minute AND old.kind = gone.kind
    RETURNING gone.quarter, old.kind, old.started, old.completed, old.failed, old.waited, old.ran, old.inserted
), sums AS (
    SELECT quarter, kind, sum(started)::bigint AS started, sum(completed)::bigint AS completed, sum(failed)::bigint AS failed,
           max(inserted) AS inserted
      FROM minutes
     GROUP BY quarter, kind
), buckets AS (
    -- The shorter of the two is null where it has ended.
    SELECT quarter, kind, place, sum(a)::bigint AS waited, sum(b)::bigint AS ran
      FROM minutes
      LEFT JOIN LATERAL ROWS FROM (unnest(waited), unnest(ran)) WITH ORDINALITY AS both_counts (a, b, place) ON true
     GROUP BY quarter, kind, place
), times AS (
    SELECT quarter, kind,
           COALESCE(array_agg(waited ORDER BY place) FILTER (WHERE waited IS NOT NULL), '{}') AS waited,
           COALESCE(array_agg(ran ORDER BY place) FILTER (WHERE ran IS NOT NULL), '{}') AS ran
      FROM buckets
     GROUP BY quarter, kind
), quarters AS (
    INSERT INTO {schema}.job_queue_activity AS known
           (queue, minute, kind, started, completed, failed, waited, ran, inserted)
    SELECT {queue_literal}, quarter, kind, started, completed, failed, waited, ran, inserted
      FROM sums JOIN times USING (quarter, kind)
     -- So that no two processes wait for each other's rows.
     ORDER BY quarter, kind
{adds}
)
SELECT GREATEST((SELECT count(*) FROM old_minutes), (SELECT count(*) FROM old_reasons), (SELECT count(*) FROM minutes)) >= $5 AS more
