-- Guarantees that a claim which starts where the last one ended hears of a job that lies before that place.
--
-- The number of the transaction that put it there is enough: whatever a snapshot did not see has a number
-- that the snapshot does not see either.
CREATE FUNCTION {schema}.job_queue_late() RETURNS trigger
LANGUAGE plpgsql AS {body}
BEGIN
    NEW.late := pg_catalog.pg_current_xact_id();
    RETURN NEW;
END
{body};
