DROP TRIGGER job_queue_inserted ON {table};
DROP TRIGGER job_queue_admit ON {table};
ALTER TABLE {table} ALTER COLUMN late DROP DEFAULT;
