-- Guarantees that a claim reads only jobs that can run, in the order in which they run: failed,
-- scheduled and held rows are not in its index.
CREATE INDEX ON {table} (priority, schedule, id) WHERE state = 'AVAILABLE';

-- Guarantees that the next due time is one step away, however many jobs are scheduled.
CREATE INDEX ON {table} (schedule) WHERE state IN ('SCHEDULED', 'RETRY');

-- Guarantees that a rescue reads only what is held: no more rows than jobs run at a time.
CREATE INDEX ON {table} (expires) WHERE state IN ('RESERVED', 'IN_PROGRESS');

-- Guarantees that jobs which may lie before the place that claims have come to are known at once: those that
-- came back, and those whose time had passed when they were inserted. The index holds no others, so the rest
-- pay nothing for it. Its state is compared under a collation of its own: who asks so is answered by this index and by
-- no other, whatever the planner believes of their sizes.
CREATE INDEX ON {table} (late) WHERE state COLLATE "C" = 'AVAILABLE' AND late IS NOT NULL;

-- Guarantees that failed jobs are found, the latest first, however many others there are. A job is put into it when it
-- fails for good, and costs nothing here before.
CREATE INDEX ON {table} (updated_at, id) WHERE state = 'FAILED';
