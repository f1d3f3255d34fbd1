-- Guarantees that a start whose answer was lost on the way is not lost as a job: tells which of these
-- reservations this process has started.
-- The state is compared under a collation of its own so that rows are found by their ids: the index of what
-- is held looks small, but keeps the entries of jobs long done while some transaction may still see them.
-- $1 ids, $2 leases before the start, $3 node
SELECT job.id, job.lease, job.attempt
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease)
  JOIN {table} AS job ON job.id = wanted.id AND job.lease = LEAST(wanted.lease, 9223372036854775806) + 1
 WHERE job.state COLLATE "C" = 'IN_PROGRESS'
   AND job.node = $3
