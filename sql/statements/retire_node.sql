-- Guarantees that a process which has stopped leaves nothing that looks alive, nor do those that have been
-- silent for a day: a row that is missing counts as dead. Where it holds jobs still, its row stays, and tells those
-- that sweep that it died just now, whatever they have seen of it before.
-- $1 node
WITH held AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM {table} WHERE state IN ('RESERVED', 'IN_PROGRESS') AND node = $1) AS jobs
), died AS (
    UPDATE {schema}.job_queue_nodes
       SET dead_at = clock_timestamp()
     WHERE node = $1
       AND (SELECT jobs FROM held)
)
DELETE FROM {schema}.job_queue_nodes
 WHERE CASE node WHEN $1 THEN NOT (SELECT jobs FROM held) ELSE dead_at < now() - interval '1 day' END
