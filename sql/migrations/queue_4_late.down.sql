DROP TRIGGER job_queue_late ON {table};
ALTER TABLE {table} DROP COLUMN late;
