-- Guarantees that inserts are announced to those who wait, and cost nothing else.
DROP TRIGGER job_queue_inserted ON {table};
CREATE TRIGGER job_queue_inserted BEFORE INSERT ON {table} FOR EACH STATEMENT
EXECUTE FUNCTION {schema}.job_queue_inserted({channel_literal});
