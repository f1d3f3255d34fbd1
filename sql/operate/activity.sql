-- Tells what jobs of each type did, minute by minute.
{minutes}
SELECT place.now, place.since, place.cut IS NOT NULL AS cut,
       seen.minute, seen.kind, seen.started, seen.completed, seen.failed, seen.waited, seen.ran, seen.inserted
  FROM place
  LEFT JOIN {schema}.job_queue_activity AS seen
         ON seen.queue = {queue_literal} AND seen.minute >= COALESCE(place.cut, place.before, place.since)
