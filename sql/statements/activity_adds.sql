-- Guarantees that what is told of the same minute and type adds up, whoever tells it and in whatever order.
ON CONFLICT (queue, minute, kind) DO UPDATE
   SET started = known.started + EXCLUDED.started,
       completed = known.completed + EXCLUDED.completed,
       failed = known.failed + EXCLUDED.failed,
       waited = COALESCE({schema}.job_queue_add(known.waited, EXCLUDED.waited), '{}'),
       ran = COALESCE({schema}.job_queue_add(known.ran, EXCLUDED.ran), '{}'),
       inserted = GREATEST(known.inserted, EXCLUDED.inserted)
