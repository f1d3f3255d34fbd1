-- Tells what is paused.
SELECT NULLIF(kind, '') AS kind, since, reason
  FROM {schema}.job_queue_pauses
 WHERE queue = {queue_literal}
 ORDER BY job_queue_pauses.kind
