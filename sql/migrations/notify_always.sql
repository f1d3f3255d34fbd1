-- Guarantees that every insert is announced, whether somebody waits or not.
DROP TRIGGER job_queue_inserted ON {table};
CREATE TRIGGER job_queue_inserted BEFORE INSERT ON {table} FOR EACH STATEMENT
EXECUTE FUNCTION {schema}.job_queue_inserted({channel_literal}, 'always');
