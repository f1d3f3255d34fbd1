-- Guarantees that only failed jobs run again, whatever their reader believed, with all their attempts and
-- a lease that no earlier life of theirs can match.
-- $1 ids
WITH requeued AS (
    UPDATE {table}
       SET state = 'SCHEDULED',
           attempt = 0,
           expires = NULL,
           node = NULL,
           schedule = now(),
           updated_at = now()
     WHERE id = ANY ($1)
       AND state = 'FAILED'
    RETURNING id
), announced AS (
    SELECT count({schema}.job_queue_announce({table_literal}::regclass, {channel_literal}))
     WHERE EXISTS (SELECT FROM requeued)
)
SELECT requeued.id FROM requeued CROSS JOIN announced ORDER BY id
