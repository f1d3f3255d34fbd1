-- Guarantees the state of new rows at the price of one expression for the rows that need no change. It is one trigger
-- for all, since the server reads each trigger's expression anew for each statement. A second is what claims allow a
-- transaction between its begin and its insert.
CREATE TRIGGER job_queue_admit BEFORE INSERT ON {table} FOR EACH ROW
WHEN (NEW.state <> 'AVAILABLE' OR NEW.schedule > pg_catalog.clock_timestamp()
   OR NEW.schedule < pg_catalog.clock_timestamp() - interval '1 second'
   OR NEW.attempt <> 0 OR NEW.expires IS NOT NULL OR NEW.node IS NOT NULL)
EXECUTE FUNCTION {schema}.job_queue_admit();

-- Guarantees that a waiting producer hears of every insert, whoever made it.
CREATE TRIGGER job_queue_inserted AFTER INSERT ON {table} FOR EACH STATEMENT
EXECUTE FUNCTION {schema}.job_queue_inserted({channel_literal});
