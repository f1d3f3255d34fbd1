-- Guarantees that the jobs exist if and only if the surrounding transaction commits, and that their ids
-- ascend in the order in which they were given: unnest brings them in that order, and nothing here sorts.
-- $1 params, $2 earliest times, $3 delays in seconds from now, $4 max_attempts, $5 priorities, $6 notify payloads
INSERT INTO {table} (params, schedule, max_attempts, priority, notify)
SELECT job.params{params_cast},
       -- The caller's transaction may have begun long ago: a delay counts from this statement.
       COALESCE(job.at, clock_timestamp() + make_interval(secs => job.delay), now()),
       COALESCE(job.max_attempts, 5),
       COALESCE(job.priority, 0),
       job.notify
  FROM unnest($1::{params_wire}[], $2::timestamptz[], $3::float8[], $4::integer[], $5::integer[], $6::text[])
       AS job (params, at, delay, max_attempts, priority, notify)
RETURNING id
