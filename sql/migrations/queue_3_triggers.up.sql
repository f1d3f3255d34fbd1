-- Guarantees for the rows that are to run as of now what the trigger below does for the others: that a claim which starts
-- where the last one ended hears of one whose transaction began long before its insert. A second is what claims allow.
ALTER TABLE {table} ALTER COLUMN late
    SET DEFAULT CASE WHEN clock_timestamp() > now() + interval '1 second' THEN pg_current_xact_id() END;

-- Guarantees the state of new rows at the price of one expression for the rows that need no change. It is one trigger for
-- all, and says no more than it must, since the server reads each trigger's expression anew for each statement.
CREATE TRIGGER job_queue_admit BEFORE INSERT ON {table} FOR EACH ROW
WHEN (NEW.schedule <> pg_catalog.now() OR NEW.state <> 'AVAILABLE'
   OR NEW.attempt <> 0 OR NEW.expires IS NOT NULL OR NEW.node IS NOT NULL)
EXECUTE FUNCTION {schema}.job_queue_admit();

-- Guarantees that a waiting producer hears of every insert, whoever made it. The table is locked before the trigger looks
-- whether somebody waits, which is all that it takes; behind the statement it would cost twice as much.
CREATE TRIGGER job_queue_inserted BEFORE INSERT ON {table} FOR EACH STATEMENT
EXECUTE FUNCTION {schema}.job_queue_inserted({channel_literal});
