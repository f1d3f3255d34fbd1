-- Guarantees that jobs which may lie before the place that claims have come to are known at once: those that
-- came back, and those whose time had passed when they were inserted. The index holds no others, so the rest
-- pay nothing for it.
ALTER TABLE {table} ADD COLUMN late xid8;

CREATE INDEX ON {table} (late) WHERE state = 'AVAILABLE' AND late IS NOT NULL;

-- A second is what claims allow a transaction between its begin and its insert.
CREATE TRIGGER job_queue_late BEFORE INSERT ON {table} FOR EACH ROW
WHEN (NEW.schedule < pg_catalog.clock_timestamp() - interval '1 second')
EXECUTE FUNCTION {schema}.job_queue_late();
