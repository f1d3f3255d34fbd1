DROP FUNCTION {schema}.job_queue_add(bigint[], bigint[]);
DROP TABLE {schema}.job_queue_history;
DROP TABLE {schema}.job_queue_failures;
DROP TABLE {schema}.job_queue_activity;
DROP TABLE {schema}.job_queue_pauses;
