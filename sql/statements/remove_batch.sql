-- Part of each removal of a batch. Guarantees that no two batches wait for each other: each locks its rows by id.
job_queue_mine AS MATERIALIZED (
    SELECT job.id, job.relation, job.place
      FROM (SELECT * FROM unnest({ids}::bigint[], {leases}::bigint[]) AS wanted (id, lease) ORDER BY id) AS wanted
     CROSS JOIN LATERAL (
               SELECT id, tableoid AS relation, ctid AS place
                 {held}
                  FOR UPDATE) AS job
), job_queue_in_place AS (
    -- By its place, which is the row's as long as it is locked.
    DELETE FROM {table}
     WHERE ctid = ANY (ARRAY(SELECT place FROM job_queue_mine))
       AND ({undivided} OR ((tableoid, ctid) IN (SELECT relation, place FROM job_queue_mine)) IS TRUE)
    RETURNING id, lease, notify{kept_columns}
), job_queue_moved AS (
    -- One that was changed between this statement's snapshot and its lock is not seen at its new place, but is still ours.
    -- Nearly always there is none, and nothing is looked for.
    DELETE FROM {table}
     WHERE (SELECT count(*) FROM job_queue_in_place) < (SELECT count(*) FROM job_queue_mine)
       AND id = ANY (ARRAY(SELECT id FROM job_queue_mine))
    RETURNING id, lease, notify{kept_columns}
), job_queue_removed AS (
    SELECT * FROM job_queue_in_place
     UNION ALL
    SELECT * FROM job_queue_moved
){kept}
