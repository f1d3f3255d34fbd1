-- Guarantees that the rest of the transaction commits only together with the job's removal, and only for
-- the process that still holds it: no row means that the job was lost. The notification goes out with the
-- commit; the transaction's number tells later whether the commit happened.
-- The state is compared under a collation of its own so that rows are found by their ids: the index of what
-- is held looks small, but keeps the entries of jobs long done while some transaction may still see them.
-- $1 id, $2 lease
WITH job_queue_removed AS (
    DELETE FROM {table}
     WHERE id = $1
       AND lease = $2
       AND state COLLATE "C" = 'IN_PROGRESS'
    RETURNING id, lease, notify{kept_columns}
){kept}
SELECT pg_current_xact_id()::text::bigint AS xid,
       CASE WHEN notify IS NOT NULL THEN pg_notify({completed_literal}, notify) END
  FROM job_queue_removed
