-- Guarantees that inserts of a busy queue never queue up on PostgreSQL's notification lock: the channel
-- is notified only where some producer waits.
--
-- A waiting producer holds an advisory lock in share mode, its key made of the table's oid. Trying the
-- same key exclusively fails exactly while somebody holds it. Advisory locks know no snapshots, so the
-- answer is of this instant; the producer looks once more after it has taken its lock, and goes on
-- looking until every transaction that was under way then has ended.
CREATE FUNCTION {schema}.job_queue_announce_to_waiting(queue oid, channel text) RETURNS void
LANGUAGE plpgsql AS {body}
DECLARE
    key CONSTANT bigint := 4716510246293143552 + queue::bigint;
BEGIN
    -- The parentheses keep the inner THEN from ending the IF.
    IF (CASE WHEN pg_catalog.pg_try_advisory_lock(key)
             THEN NOT pg_catalog.pg_advisory_unlock(key)
             ELSE true
        END) THEN
        PERFORM pg_catalog.pg_notify(channel, '');
    END IF;
END
{body};

-- Guarantees the same for what becomes available without an insert. A queue whose trigger was told to notify
-- always has this notify always too.
CREATE FUNCTION {schema}.job_queue_announce(queue oid, channel text) RETURNS void
LANGUAGE plpgsql AS {body}
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                WHERE t.tgrelid = queue AND t.tgname = 'job_queue_inserted' AND t.tgnargs > 1) THEN
        PERFORM pg_catalog.pg_notify(channel, '');
    ELSE
        PERFORM {schema}.job_queue_announce_to_waiting(queue, channel);
    END IF;
END
{body};

-- Guarantees one announcement a statement, whatever the number of rows, COPY included: to those who wait, or
-- always where there is a second argument.
--
-- Every insert pays for this one, so the expression is the same as above once more and no call.
CREATE FUNCTION {schema}.job_queue_inserted() RETURNS trigger
LANGUAGE plpgsql AS {body}
BEGIN
    IF (CASE WHEN TG_NARGS > 1 THEN true
             WHEN pg_catalog.pg_try_advisory_lock(4716510246293143552 + TG_RELID::bigint)
             THEN NOT pg_catalog.pg_advisory_unlock(4716510246293143552 + TG_RELID::bigint)
             ELSE true
        END) THEN
        PERFORM pg_catalog.pg_notify(TG_ARGV[0], '');
    END IF;
    RETURN NULL;
END
{body};

-- Guarantees that a new row is SCHEDULED if its time is to come and AVAILABLE if it has come, not
-- started, and held by nobody, whatever its writer said. And that a claim which starts where the last one ended hears of a
-- job that was inserted long after its time, and so lies before that place: the number of the transaction that put it there
-- is enough, for whatever a snapshot did not see has a number that the snapshot does not see either. For a job whose time is
-- the begin of its transaction, a default sees to that.
CREATE FUNCTION {schema}.job_queue_admit() RETURNS trigger
LANGUAGE plpgsql AS {body}
BEGIN
    NEW.state := CASE WHEN NEW.schedule > pg_catalog.clock_timestamp() THEN 'SCHEDULED' ELSE 'AVAILABLE' END;
    NEW.attempt := 0;
    NEW.expires := NULL;
    NEW.node := NULL;
    IF NEW.schedule < pg_catalog.clock_timestamp() - interval '1 second' THEN
        NEW.late := pg_catalog.pg_current_xact_id();
    END IF;
    RETURN NEW;
END
{body};

-- Guarantees that a statement which finds its job lost, or its transaction ended by somebody else, takes
-- everything else that was sent with it down with it, under a code that the library knows.
CREATE FUNCTION {schema}.job_queue_refuse(code text, reason text) RETURNS text
LANGUAGE plpgsql AS {body}
BEGIN
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = reason;
END
{body};

-- Guarantees that a failed attempt is kept with its end and its number, for how long it ran, since `since`, and in
-- which process, and that no job gathers them without bound: the newest 20 stay.
CREATE FUNCTION {schema}.job_queue_record(errors jsonb, attempt integer, error jsonb, since timestamptz, node bigint)
RETURNS jsonb
LANGUAGE sql STABLE AS {body}
    SELECT CASE WHEN pg_catalog.jsonb_array_length(errors) >= 20 THEN errors - 0
                ELSE COALESCE(errors, '[]'::jsonb)
           END
        || pg_catalog.jsonb_build_array(
               pg_catalog.jsonb_build_object(
                   'at', pg_catalog.now(), 'attempt', attempt, 'error', error,
                   'seconds', CASE WHEN since IS NOT NULL  -- What did not run took no time; a clock may be set back.
                                   THEN GREATEST(pg_catalog.round(EXTRACT(epoch FROM pg_catalog.now() - since), 3), 0)
                              END,
                   'node', node,
                   'process', (SELECT known.name FROM {schema}.job_queue_nodes AS known WHERE known.node = $5)))
{body};
