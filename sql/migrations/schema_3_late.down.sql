DROP FUNCTION {schema}.job_queue_late();
