-- Tells what jobs of each type did, minute by minute. The last minute before that time comes along, by whose counter it is
-- known how many jobs were inserted in the first. Guarantees that no more rows are read than asked for, the latest first.
-- $1 the last so many seconds to the end of this minute, $2 how many rows at most
SELECT clock.now, clock.since, seen.minute, seen.kind, seen.started, seen.completed, seen.failed, seen.waited, seen.ran,
       seen.inserted
  FROM (SELECT now() AS now, date_trunc('minute', now()) + interval '1 min' - make_interval(secs => $1) AS since) AS clock
  LEFT JOIN LATERAL (
            SELECT minute, kind, started, completed, failed, waited, ran, inserted
              FROM {schema}.job_queue_activity
             WHERE queue = {queue_literal}
               AND minute >= COALESCE((SELECT max(minute)
                                         FROM {schema}.job_queue_activity
                                        WHERE queue = {queue_literal} AND minute < clock.since), clock.since)
             ORDER BY minute DESC, kind DESC
             LIMIT $2) AS seen ON true
