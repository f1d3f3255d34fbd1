-- Guarantees a mark behind which nothing is hidden: once every transaction of the mark has ended, all that
-- was inserted before the mark was taken can be seen. Whoever inserts holds the table's RowExclusiveLock from
-- before the insert until after its end, so those who hold it are the mark. A snapshot cannot be: its xmax
-- is behind the last transaction that has ended, and younger ones may be under way.
-- A prepared transaction has left its session's number behind, so it counts whatever the mark says.
-- $1 the mark as it was first taken, or null, $2 the table's oid
SELECT ARRAY(
           SELECT held.virtualtransaction
             FROM pg_locks AS held
            WHERE held.locktype = 'relation'
              AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND held.relation = $2
              AND held.mode = 'RowExclusiveLock'
              AND held.granted
              AND held.pid IS DISTINCT FROM pg_backend_pid()
              AND ($1::text[] IS NULL OR held.virtualtransaction = ANY ($1) OR held.pid IS NULL)) AS under_way
