-- Guarantees a mark behind which nothing is hidden: once the oldest transaction under way is as young as
-- the mark, everything inserted before the mark was taken can be seen. A table that no other session has
-- locked for writing has nothing under way at all.
-- $1 the mark as it was first taken, or null, $2 the table's oid
SELECT COALESCE($1, pg_snapshot_xmax(now_under_way)::text::bigint) AS mark,
       pg_snapshot_xmin(now_under_way)::text::bigint
           >= COALESCE($1, pg_snapshot_xmax(now_under_way)::text::bigint)
       OR NOT EXISTS (
           SELECT
             FROM pg_locks AS held
            WHERE held.locktype = 'relation'
              AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND held.relation = $2
              AND held.mode = 'RowExclusiveLock'
              AND held.granted
              AND held.pid IS DISTINCT FROM pg_backend_pid()) AS settled
  FROM pg_current_snapshot() AS now_under_way
