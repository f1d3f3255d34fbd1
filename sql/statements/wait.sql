-- Guarantees that inserts announce themselves from now on: says false if another session has the key to
-- itself for a moment.
-- $1 key
SELECT pg_try_advisory_lock_shared($1) AS waiting
