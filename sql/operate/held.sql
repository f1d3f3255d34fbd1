-- Tells which jobs are held, by whom and since when.
-- $1 how many at most
SELECT job.id, job.state, {type} AS kind, job.attempt, job.node, job.updated_at AS since, job.expires, now() AS now
  FROM {table} AS job
 WHERE job.state IN ('RESERVED', 'IN_PROGRESS')
 ORDER BY job.expires
 LIMIT $1
