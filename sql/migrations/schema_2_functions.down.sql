DROP FUNCTION {schema}.job_queue_record(jsonb, integer, jsonb, timestamptz, bigint);
DROP FUNCTION {schema}.job_queue_refuse(text, text);
DROP FUNCTION {schema}.job_queue_admit();
DROP FUNCTION {schema}.job_queue_inserted();
DROP FUNCTION {schema}.job_queue_announce(oid, text);
DROP FUNCTION {schema}.job_queue_announce_to_waiting(oid, text);
