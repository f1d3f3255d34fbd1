-- Guarantees that jobs of another queue, or of an earlier time, are here all or none, each with what it had failed with, and that
-- none of them is held, whatever it was there.
-- $1 params, $2 schedules, $3 max_attempts, $4 priorities, $5 notify payloads, $6 inserted_at, $7 errors
INSERT INTO {table} (params, schedule, max_attempts, priority, notify, inserted_at, errors)
SELECT given.params{params_cast},
       COALESCE(given.schedule, now()),
       COALESCE(given.max_attempts, 5),
       COALESCE(given.priority, 0),
       given.notify,
       COALESCE(given.inserted_at, now()),
       given.errors::jsonb
  FROM unnest($1::{params_wire}[], $2::timestamptz[], $3::integer[], $4::integer[], $5::text[], $6::timestamptz[], $7::text[])
       AS given (params, schedule, max_attempts, priority, notify, inserted_at, errors)
RETURNING id
