-- Tells the same of all types together, without their times, which are most of what there is to send.
{minutes}
SELECT place.now, place.since, place.cut IS NOT NULL AS cut,
       seen.minute, '' AS kind, sum(seen.started)::bigint AS started, sum(seen.completed)::bigint AS completed,
       sum(seen.failed)::bigint AS failed, '{}'::bigint[] AS waited, '{}'::bigint[] AS ran, max(seen.inserted) AS inserted
  FROM place
  LEFT JOIN {schema}.job_queue_activity AS seen
         ON seen.queue = {queue_literal} AND seen.minute >= COALESCE(place.cut, place.before, place.since)
 GROUP BY place.now, place.since, place.cut, seen.minute
