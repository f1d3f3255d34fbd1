-- Guarantees that the jobs picked are reserved, or started where the queue starts on claim, and that a process which
-- holds jobs counts as alive from the same commit on. Part of each claim, whose parameters $2 to $5 it takes.
claimed AS (
    UPDATE {table} AS job
       SET {taken}
           node = $3,
           updated_at = now()
     -- By its place, the shortest way to a row, which is this one's as long as it is locked. A row that was changed since
     -- this statement's snapshot is not seen at its new place; it is told of as moved.
     WHERE job.ctid = ANY (ARRAY(SELECT place FROM picked))
       AND ({undivided} OR ((job.tableoid, job.ctid) IN (SELECT relation, place FROM picked)) IS TRUE)
    RETURNING job.id, job.lease, job.attempt, job.max_attempts, job.priority, job.schedule, job.inserted_at,
              job.notify, {kind} AS kind, job.params, {started_late} AS waited
), alive AS (
    INSERT INTO {schema}.job_queue_nodes AS known (node, name, dead_at)
    SELECT $3, $5, now() + make_interval(secs => $4)
     WHERE EXISTS (SELECT FROM claimed)
    ON CONFLICT (node) DO UPDATE
       SET dead_at = EXCLUDED.dead_at
     -- Most claims find the heartbeat fresh and leave its row alone.
     WHERE known.dead_at < now() + make_interval(secs => $4 * 0.75)
)
