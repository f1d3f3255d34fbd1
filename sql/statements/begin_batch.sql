-- Guarantees for the jobs of a batch what begin_completion.sql does for one. A job that is not among the rows was
-- lost, and whoever began must roll back then: its effects may be among what is to be written. The rows are
-- locked in the order of their ids, so that no two batches wait for each other.
-- $1 ids, $2 leases
WITH mine AS MATERIALIZED (
    SELECT job.id
      FROM {table} AS job
      JOIN unnest($1::bigint[], $2::bigint[]) AS wanted (id, lease) USING (id, lease)
     -- Compared so, no partial index answers for the state: each row is found by its key.
     WHERE job.state COLLATE "C" = 'IN_PROGRESS'
     ORDER BY job.id
       FOR UPDATE OF job
), completed AS (
    DELETE FROM {table} AS job
     USING mine
     WHERE job.id = mine.id
    RETURNING job.id, job.lease, job.notify
)
SELECT id,
       lease,
       pg_current_xact_id()::text::bigint AS xid,
       CASE WHEN notify IS NOT NULL THEN pg_notify({completed_literal}, notify) END
  FROM completed
