-- Guarantees that no claim brings any more what is paused, from this commit on.
-- $1 type, or empty for all, $2 reason
INSERT INTO {schema}.job_queue_pauses AS known (queue, kind, reason)
VALUES ({queue_literal}, $1, $2)
ON CONFLICT (queue, kind) DO UPDATE SET reason = COALESCE(EXCLUDED.reason, known.reason)
