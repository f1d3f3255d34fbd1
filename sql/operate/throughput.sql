-- Tells how many jobs of all types came in and went out, minute by minute; else as activity.sql, with less to send.
-- $1 the last so many seconds to the end of this minute, $2 how many rows at most
SELECT clock.now, clock.since, seen.minute, sum(seen.started)::bigint AS started,
       sum(seen.completed)::bigint AS completed, sum(seen.failed)::bigint AS failed, max(seen.inserted) AS inserted,
       count(*) AS rows
  FROM (SELECT now() AS now, date_trunc('minute', now()) + interval '1 min' - make_interval(secs => $1) AS since) AS clock
  LEFT JOIN LATERAL (
            SELECT minute, started, completed, failed, inserted
              FROM {schema}.job_queue_activity
             WHERE queue = {queue_literal}
               AND minute >= COALESCE((SELECT max(minute)
                                         FROM {schema}.job_queue_activity
                                        WHERE queue = {queue_literal} AND minute < clock.since), clock.since)
             ORDER BY minute DESC, kind DESC
             LIMIT $2) AS seen ON true
 GROUP BY clock.now, clock.since, seen.minute
