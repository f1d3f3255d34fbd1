-- Guarantees nothing less than a claim that waits for the disk: nobody acts on a reservation but by a start, and
-- the start's commit flushes all that was before it. A crash that forgets the reservation has the start refused.
           + CASE WHEN set_config('synchronous_commit', 'off', true) IS NULL THEN NULL ELSE 0 END
