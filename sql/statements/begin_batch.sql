-- Guarantees for the jobs of a batch what begin_completion.sql does for one. A job that is not among the rows was
-- lost, and whoever began must roll back then: its effects may be among what is to be written.
-- $1 ids, $2 leases
WITH {remove_batch}
SELECT id,
       lease,
       pg_current_xact_id()::text::bigint AS xid,
       CASE WHEN notify IS NOT NULL THEN pg_notify({completed_literal}, notify) END
  FROM job_queue_removed
