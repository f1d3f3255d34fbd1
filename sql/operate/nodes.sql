-- Tells which processes the queues of this schema know of. One that holds nothing is not heard from.
SELECT node, name, started_at, dead_at, dead_at > now() AS heard, now() AS now
  FROM {schema}.job_queue_nodes
 ORDER BY node
 LIMIT 10000
