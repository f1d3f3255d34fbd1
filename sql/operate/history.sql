-- Tells which completed jobs are kept, the latest first.
-- $1 and $2 the place to go on from, or null, $3 type, $4 id, $5 how many
SELECT id, kind, attempt, max_attempts, priority, schedule, inserted_at, started_at, completed_at, node, notify,
       errors::text AS errors, params, binary_params
  FROM {schema}.job_queue_history
 WHERE queue = {queue_literal}
   AND ($2::bigint IS NULL OR (completed_at, id) < ($1::timestamptz, $2))
   AND ($3::text IS NULL OR kind = $3)
   AND ($4::bigint IS NULL OR id = $4)
 ORDER BY completed_at DESC, id DESC
 LIMIT $5
