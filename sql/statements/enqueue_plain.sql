-- Guarantees the same as enqueue_one.sql for a job of which nothing but its params is said: the rest are the defaults of the
-- table. The less there is to plan and to send, the less an insert costs.
-- $1 params
INSERT INTO {table} (params)
VALUES ($1::{params_wire}{params_cast})
RETURNING id
