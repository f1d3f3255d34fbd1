-- Guarantees that what an operator has paused stays so over restarts, in all processes: a queue (kind is empty) or a type.
CREATE TABLE {schema}.job_queue_pauses (
    queue text NOT NULL,
    kind text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    reason text,
    PRIMARY KEY (queue, kind)
);

-- Guarantees that rates and latencies are told without a look at any job: a row a queue, minute and type, to which
-- each process adds what it has seen, if anything. After two hours the minutes of a quarter of an hour share the row of its
-- first. The columns waited and ran count attempts by time, in buckets whose ends grow by the square root of two from a
-- millisecond; inserted is the table's own counter by then.
CREATE TABLE {schema}.job_queue_activity (
    queue text NOT NULL,
    minute timestamptz NOT NULL,
    kind text NOT NULL,
    started bigint NOT NULL,
    completed bigint NOT NULL,
    failed bigint NOT NULL,
    waited bigint[] NOT NULL,
    ran bigint[] NOT NULL,
    inserted bigint NOT NULL,
    PRIMARY KEY (queue, minute, kind)
);

-- Guarantees the same for what failed: how often each type failed for each reason in an hour, and with which job last.
CREATE TABLE {schema}.job_queue_failures (
    queue text NOT NULL,
    hour timestamptz NOT NULL,
    kind text NOT NULL,
    error text NOT NULL,
    failures bigint NOT NULL,
    last_at timestamptz NOT NULL,
    last_id bigint NOT NULL,
    PRIMARY KEY (queue, hour, kind, error)
);

-- Guarantees that completed jobs can be looked at for a while, where a queue is set so.
CREATE TABLE {schema}.job_queue_history (
    queue text NOT NULL,
    id bigint NOT NULL,
    kind text,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    priority integer NOT NULL,
    schedule timestamptz NOT NULL,
    inserted_at timestamptz NOT NULL,
    started_at timestamptz NOT NULL,
    completed_at timestamptz NOT NULL DEFAULT now(),
    node bigint,
    notify text,
    errors jsonb,
    -- One of them, as the queue keeps them.
    params jsonb,
    binary_params bytea
);
CREATE INDEX ON {schema}.job_queue_history (queue, completed_at, id);
CREATE INDEX ON {schema}.job_queue_history (queue, id);

-- Guarantees that counts of two processes add up, bucket by bucket.
CREATE FUNCTION {schema}.job_queue_add(one bigint[], other bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE AS {body}
    SELECT pg_catalog.array_agg(COALESCE(a, 0) + COALESCE(b, 0) ORDER BY place)
      FROM ROWS FROM (pg_catalog.unnest(one), pg_catalog.unnest(other)) WITH ORDINALITY AS both_counts (a, b, place)
{body};
