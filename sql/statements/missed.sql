-- Tells why jobs could not be removed or settled: BUSY if somebody had locked the row and it is this attempt's still, GONE if
-- there is none, LOST if it is somebody else's.
-- $1 ids, $2 leases
SELECT wanted.id,
       wanted.lease,
       CASE WHEN job.lease = wanted.lease AND job.state = 'IN_PROGRESS' THEN 'BUSY'
            WHEN job.id IS NULL THEN 'GONE'
            ELSE 'LOST'
       END AS outcome
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease)
  LEFT JOIN {table} AS job ON job.id = wanted.id
