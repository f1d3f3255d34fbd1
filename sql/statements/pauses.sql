-- Guarantees that a claim brings nothing that is paused: all that its queue has paused, read with the claim itself. Part of each claim.
pauses AS MATERIALIZED (
    SELECT array_agg(kind) AS kinds FROM {schema}.job_queue_pauses WHERE queue = {queue_literal}
)
