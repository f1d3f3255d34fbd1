-- Guarantees that a start whose answer was lost on the way is not lost as a job: tells which of these
-- reservations this process has started.
-- $1 ids, $2 leases before the start, $3 node
SELECT job.id, job.lease, job.attempt
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease)
  JOIN {table} AS job ON job.id = wanted.id AND job.lease = wanted.lease + 1
 WHERE job.state = 'IN_PROGRESS'
   AND job.node = $3
