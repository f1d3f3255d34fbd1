-- Tells why jobs failed, the commonest reasons first. Guarantees that no more rows are read than asked for, the latest first.
-- $1 the last so many seconds, to the hour, $2 how many reasons, $3 how many rows at most
SELECT kind, error, sum(failures)::bigint AS failures, max(last_at) AS last_at,
       (array_agg(last_id ORDER BY last_at DESC))[1] AS last_id
  FROM (SELECT kind, error, failures, last_at, last_id
          FROM {schema}.job_queue_failures
         WHERE queue = {queue_literal}
           AND hour >= date_trunc('hour', now() - make_interval(secs => $1))
         ORDER BY hour DESC, kind DESC, error DESC
         LIMIT $3) AS seen
 GROUP BY kind, error
 ORDER BY failures DESC, last_at DESC
 LIMIT $2
