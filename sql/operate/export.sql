-- Tells jobs as they can be told to another queue.
-- $1 ids
SELECT id, state, schedule, attempt, max_attempts, priority, notify, inserted_at, errors::text AS errors, params
  FROM {table}
 WHERE id = ANY ($1)
 ORDER BY array_position($1, id)
