-- What processes would have written down in the last day, rolled up as they do it, and the processes themselves.
INSERT INTO {schema}.job_queue_nodes (node, name, dead_at)
SELECT n, 'worker-' || n || ':7 (app)', now() + CASE n WHEN 8 THEN interval '-1 hour' ELSE interval '1 day' END
  FROM generate_series(1, 8) AS n
ON CONFLICT (node) DO UPDATE SET dead_at = EXCLUDED.dead_at;
INSERT INTO {schema}.job_queue_activity (queue, minute, kind, started, completed, failed, waited, ran, inserted)
SELECT {queue}, minute, kind, rate + ago % 7, rate, ago % 7,
       ARRAY[rate / 2, rate / 4, rate / 8, 3, 2, 1], ARRAY[0, 0, 0, 0, rate / 2, rate / 4, rate / 8, 5, 3, 2, 1],
       (1440 - ago + minutes - 1) * 2000
  FROM generate_series(0, 1439) AS ago,
       LATERAL (SELECT date_trunc('minute', now()) - make_interval(mins => ago) AS minute) AS at,
       LATERAL (SELECT to_timestamp(floor(date_part('epoch', minute) / 900) * 900) AS quarter) AS quarters,
       LATERAL (SELECT CASE WHEN quarter + interval '15 minutes' > now() - interval '2 hours' THEN 1 ELSE 15 END
                       AS minutes) AS told,
       (VALUES ('SendEmail', 900), ('ResizeImage', 500), ('SyncCrm', 200), ('Invoice', 200)) AS of (kind, usual),
       LATERAL (SELECT usual * minutes AS rate) AS rates
 WHERE minutes = 1 OR minute = quarter
ON CONFLICT DO NOTHING;
INSERT INTO {schema}.job_queue_failures (queue, hour, kind, error, failures, last_at, last_id)
SELECT {queue}, date_trunc('hour', now()) - make_interval(hours => ago), kind, error, 100 + ago, now() - make_interval(hours => ago), ago + 1
  FROM generate_series(0, 23) AS ago,
       (VALUES ('SendEmail', 'could not send: connection to #.#.#.#:# timed out after #'),
               ('SendEmail', 'could not send to user-#: smtp: # mailbox busy'),
               ('ResizeImage', 'image #.png is no image'),
               ('SyncCrm', 'crm answered #: upstream request #')) AS of (kind, error)
ON CONFLICT DO NOTHING;
