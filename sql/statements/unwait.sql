-- Guarantees that inserts need not announce themselves on this producer's account.
-- $1 key
SELECT pg_advisory_unlock_shared($1)
