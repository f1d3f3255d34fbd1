-- Guarantees that hardly more minutes' rows are read than asked for: of more, only the latest minutes are told, from the one
-- at which they were cut. The last minute before the time that is asked for comes along, by whose counter it is known how
-- many jobs were inserted in the first.
-- $1 the last so many seconds to the end of this step, $2 how many rows at most, $3 how long a step is: minutes that are a
-- quarter of an hour by now are told whole where that is a quarter too
WITH clock AS (
    SELECT now() AS now, to_timestamp((floor(date_part('epoch', now()) / $3) + 1) * $3 - $1) AS since
), place AS MATERIALIZED (
    SELECT now,
           since,
           (SELECT max(minute) FROM {schema}.job_queue_activity WHERE queue = {queue_literal} AND minute < since) AS before,
           (SELECT minute
              FROM {schema}.job_queue_activity
             WHERE queue = {queue_literal} AND minute >= since
             ORDER BY minute DESC
            OFFSET $2
             LIMIT 1) AS cut
      FROM clock
)
