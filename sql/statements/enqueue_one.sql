-- Guarantees for one job what enqueue.sql does for many, and costs as little as a plain INSERT.
-- $1 params, $2 earliest time, $3 delay in seconds from now, $4 max_attempts, $5 priority, $6 notify payload
INSERT INTO {table} (params, schedule, max_attempts, priority, notify)
VALUES ($1::{params_wire}{params_cast},
        COALESCE($2, clock_timestamp() + make_interval(secs => $3), now()),
        COALESCE($4, 5),
        COALESCE($5, 0),
        $6)
RETURNING id
