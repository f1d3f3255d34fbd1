-- Guarantees that what was paused is claimed again, and that whoever waits for work hears of it.
-- $1 type, or empty for all
WITH resumed AS (
    DELETE FROM {schema}.job_queue_pauses WHERE queue = {queue_literal} AND kind = $1 RETURNING kind
), announced AS (
    SELECT count({schema}.job_queue_announce({table_literal}::regclass, {channel_literal}))
     WHERE EXISTS (SELECT FROM resumed)
)
SELECT (SELECT count(*) FROM resumed) AS resumed, announced.* FROM announced
