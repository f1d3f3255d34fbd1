-- Jobs in all states with what real ones look like: some types are common and one is rare, some failed for a few reasons, and
-- each reason names another host or number. Their own triggers are off meanwhile, or all of them would be waiting.
-- $1 the first number, $2 the last, $3 the greatest of all
WITH job AS (
    SELECT n,
           CASE WHEN n > $3 - 40 THEN 'RESERVED'
                WHEN n > $3 - 240 THEN 'IN_PROGRESS'
                WHEN share < 0.40 THEN 'AVAILABLE'
                WHEN share < 0.70 THEN 'SCHEDULED'
                WHEN share < 0.75 THEN 'RETRY'
                ELSE 'FAILED'
           END AS state,
           CASE WHEN n % 20000 = 7 THEN 'CloseAccount'
                ELSE (ARRAY['SendEmail', 'SendEmail', 'SendEmail', 'ResizeImage', 'ResizeImage', 'SyncCrm', 'Invoice'])[1 + n % 7]
           END AS kind,
           now() - make_interval(secs => (($3 - n) * 86400.0 * 30 / $3)::float8) AS inserted_at,
           CASE n % 6
           WHEN 0 THEN ARRAY['could not send to user-' || n % 5000, 'smtp: 451 mailbox busy']
           WHEN 1 THEN ARRAY['could not send', 'connection to 10.0.' || n % 16 || '.' || n % 250 || ':25 timed out after 30s']
           WHEN 2 THEN ARRAY['crm answered 503', 'upstream request ' || md5(n::text)]
           WHEN 3 THEN ARRAY['image ' || n || '.png is no image']
           WHEN 4 THEN ARRAY['the handler panicked: index out of bounds: the len is 0 but the index is 3 (at src/image.rs:118:9)']
           ELSE ARRAY['the process that ran it died (process ' || n % 9 || ')']
           END AS reason
      FROM (SELECT n, (n * 2654435761 % 4294967296) / 4294967296.0 AS share
              FROM generate_series($1::bigint, $2::bigint) AS n) AS numbered
)
INSERT INTO {table} (state, expires, schedule, attempt, max_attempts, params, priority, inserted_at, updated_at, lease, node, errors)
SELECT state,
       CASE WHEN state IN ('RESERVED', 'IN_PROGRESS') THEN now() + interval '1 day' END,
       CASE WHEN state IN ('SCHEDULED', 'RETRY') THEN now() + make_interval(secs => n % 604800 + 60) ELSE inserted_at END,
       CASE state WHEN 'FAILED' THEN 5 WHEN 'RETRY' THEN 1 + n % 4 WHEN 'IN_PROGRESS' THEN 1 ELSE 0 END,
       5,
       jsonb_build_object('type', kind, 'user', n % 500000, 'to', 'user' || n % 500000 || '@example.com', 'size', n % 4096),
       CASE WHEN n % 50 = 0 THEN -1 ELSE 0 END,
       inserted_at,
       CASE WHEN state = 'IN_PROGRESS' THEN GREATEST(now() - make_interval(secs => n % 300), inserted_at) ELSE LEAST(inserted_at + interval '5 min', now()) END,
       CASE WHEN state IN ('IN_PROGRESS', 'RETRY', 'FAILED') THEN 1 ELSE 0 END,
       CASE WHEN state IN ('RESERVED', 'IN_PROGRESS') THEN 1 + n % 8 END,
       CASE WHEN state IN ('RETRY', 'FAILED')
            THEN jsonb_build_array(jsonb_build_object(
                     'at', inserted_at + interval '5 min', 'attempt', CASE state WHEN 'FAILED' THEN 5 ELSE 1 + n % 4 END,
                     'error', to_jsonb(reason), 'seconds', n % 30, 'node', 1 + n % 8,
                     'process', 'worker-' || 1 + n % 8 || ':7 (app)'))
       END
  FROM job
 ORDER BY n
