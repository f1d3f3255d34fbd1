-- Guarantees that a completed job can be looked at for as long as its queue says, from the same commit on. Part of each removal, where
-- the queue is set so.
, job_queue_kept AS (
    INSERT INTO {schema}.job_queue_history (queue, id, kind, attempt, max_attempts, priority, schedule, inserted_at,
                                            started_at, node, notify, errors, {params_history})
    SELECT {queue_literal}, job.id, {kind}, job.attempt, job.max_attempts, job.priority, job.schedule, job.inserted_at,
           job.updated_at, job.node, job.notify, job.errors, job.params
      FROM job_queue_removed AS job
)
