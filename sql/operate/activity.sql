-- Tells what jobs of each type did, minute by minute.
-- $1 the last so many seconds
SELECT minute, kind, started, completed, failed, waited, ran, inserted
  FROM {schema}.job_queue_activity
 WHERE queue = {queue_literal}
   AND minute >= date_trunc('minute', now() - make_interval(secs => $1))
 ORDER BY minute, kind
