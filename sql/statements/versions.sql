-- Guarantees that what was applied to the shared objects ('') and to this queue is known.
-- $1 table
SELECT target, max(version) AS version
  FROM {schema}.job_queue_migrations
 WHERE target IN ('', $1)
 GROUP BY target
