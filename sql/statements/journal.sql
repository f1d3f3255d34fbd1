-- Guarantees that what a process has seen is added to what others have, a row a type and minute, and a row a reason and hour.
-- $1 types, $2 started, $3 completed, $4 failed, $5 and $6 the times waited and ran, each an array as text; $7 the types, $8 errors, $9
-- failures and $10 last jobs of what failed
WITH reasons AS (
    INSERT INTO {schema}.job_queue_failures AS known (queue, hour, kind, error, failures, last_at, last_id)
    SELECT {queue_literal}, date_trunc('hour', now()), kind, error, failures, now(), last_id
      FROM unnest($7::text[], $8::text[], $9::bigint[], $10::bigint[]) AS reason (kind, error, failures, last_id)
     WHERE true
    ON CONFLICT (queue, hour, kind, error) DO UPDATE
       SET failures = known.failures + EXCLUDED.failures, last_at = EXCLUDED.last_at, last_id = EXCLUDED.last_id
)
INSERT INTO {schema}.job_queue_activity AS known
       (queue, minute, kind, started, completed, failed, waited, ran, inserted)
SELECT {queue_literal}, date_trunc('minute', now()), kind, started, completed, failed, waited::bigint[], ran::bigint[],
       pg_stat_get_tuples_inserted({table_literal}::regclass)
  FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
       AS seen (kind, started, completed, failed, waited, ran)
 WHERE true
{adds}
