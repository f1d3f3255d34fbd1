-- A night's work: queues with jobs in every state, and one that has kept up.
INSERT INTO mails (params, inserted_at, schedule)
SELECT CASE
         WHEN n % 7 = 0 THEN jsonb_build_object('type', 'WeeklyDigest', 'user', 1000 + n, 'articles', jsonb_build_array(n, n + 1, n + 2))
         WHEN n % 3 = 0 THEN jsonb_build_object('type', 'PasswordReset', 'to', 'grace' || n || '@example.com', 'token', md5(n::text))
         ELSE jsonb_build_object('type', 'SendEmail', 'to', 'ada' || n || '@example.com', 'subject', 'Welcome, Ada №' || n,
                                 'template', jsonb_build_object('name', 'welcome', 'language', 'en', 'variables', jsonb_build_object('plan', 'team', 'seats', n)))
       END,
       now() - n * interval '71 seconds' - interval '2 hours',
       CASE WHEN n BETWEEN 60 AND 84 THEN now() + n * interval '37 seconds' ELSE now() - n * interval '3 seconds' END
  FROM generate_series(1, 140) AS n;
UPDATE mails SET state = 'FAILED', attempt = 5, updated_at = now() - id * interval '131 seconds',
       errors = (SELECT jsonb_agg(jsonb_build_object('at', now() - id * interval '131 seconds' - (5 - a) * interval '9 minutes', 'attempt', a, 'seconds', 2.5 * a,
                        'node', 77, 'process', 'worker-1.example.com:4711 (mails)',
                        'error', jsonb_build_array('could not send the mail to ada' || id || '@example.com',
                                                   'Connection refused (os error 111): smtp.example.com:587')))
                   FROM generate_series(1, 5) AS a)
 WHERE id <= 24;
UPDATE mails SET state = 'RETRY', attempt = 2, schedule = now() + id * interval '11 seconds',
       errors = jsonb_build_array(jsonb_build_object('at', now() - interval '40 seconds', 'attempt', 1, 'seconds', 30.0, 'node', 77,
                        'process', 'worker-1.example.com:4711 (mails)', 'error', jsonb_build_array('450 mailbox busy: try again later')))
 WHERE id BETWEEN 25 AND 36;
UPDATE mails SET state = 'IN_PROGRESS', attempt = 1, lease = 1, node = 77, expires = now() + interval '4 minutes',
       updated_at = now() - id * interval '1 second' WHERE id BETWEEN 37 AND 48;
UPDATE mails SET state = 'RESERVED', node = 78, expires = now() + interval '50 seconds' WHERE id BETWEEN 49 AND 53;
INSERT INTO thumbnails (params) SELECT jsonb_build_object('type', 'Resize', 'image', n) FROM generate_series(1, 12480) AS n;
UPDATE thumbnails SET state = 'IN_PROGRESS', attempt = 1, lease = 1, node = 78, expires = now() + interval '4 minutes' WHERE id <= 100;
INSERT INTO job_queue_nodes (node, name, started_at, dead_at) VALUES
    (77, 'worker-1.example.com:4711 (mails)', now() - interval '3 days', now() + interval '10 seconds'),
    (78, 'worker-2.example.com:815 (mails, thumbnails)', now() - interval '5 hours', now() + interval '10 seconds');
INSERT INTO job_queue_pauses (queue, kind, reason) VALUES ('mails', 'WeeklyDigest', 'the template is being mended');
INSERT INTO job_queue_nodes (node, name, started_at, dead_at) VALUES
    (79, 'worker-3.example.com:1201 (mails)', now() - interval '9 hours', now() - interval '95 seconds'),
    (80, 'worker-4.example.com:77 (reports)', now() - interval '2 days', now() - interval '40 minutes'),
    (81, 'worker-4.example.com:78 (reports)', now() - interval '2 days', now() - interval '41 minutes');
UPDATE mails SET node = 79, expires = now() + interval '2 minutes', updated_at = now() - interval '3 minutes' WHERE id IN (40, 47);
-- Rates that rise and fall, a mail server that was away for a while, and a type that is slow.
INSERT INTO job_queue_activity (queue, minute, kind, started, completed, failed, waited, ran, inserted)
SELECT queue, date_trunc('minute', now()) - make_interval(mins => ago), kind, rate + bad, rate, bad,
       CASE WHEN away THEN array_cat(array_fill(0::bigint, ARRAY[12 + ago % 3]), ARRAY[rate / 2, rate / 3, rate / 9, 2])
            ELSE array_cat(array_fill(0::bigint, ARRAY[1 + ago % 2]), ARRAY[rate / 2, rate / 3, rate / 6, rate / 20, 0, 0, 1]) END,
       CASE WHEN kind = 'WeeklyDigest' THEN array_cat(array_fill(0::bigint, ARRAY[19]), ARRAY[rate / 2, rate / 3, 1])
            ELSE array_cat(array_fill(0::bigint, ARRAY[8 + ago % 2]), ARRAY[rate / 2, rate / 3, rate / 9, 3, 1]) END,
       (1440 - ago) * 190 + (60 * sin(ago / 9.0) + 70 * sin(ago / 170.0))::bigint
  FROM generate_series(0, 1439) AS ago,
       LATERAL (SELECT ago BETWEEN 18 AND 27 OR ago BETWEEN 700 AND 760 AS away) AS when_away,
       (VALUES ('mails', 'SendEmail', 120), ('mails', 'PasswordReset', 45), ('mails', 'WeeklyDigest', 14), ('thumbnails', 'Resize', 300))
           AS of (queue, kind, usual),
       LATERAL (SELECT (usual * (1 + 0.3 * sin(ago / 11.0) + 0.4 * sin(ago / 200.0)) * CASE WHEN away AND queue = 'mails' THEN 0.4 ELSE 1 END)::bigint AS rate,
                       CASE WHEN queue <> 'mails' THEN 0 WHEN away THEN usual / 2 ELSE usual * (ago % 4) / 100 END AS bad) AS rates;
INSERT INTO job_queue_failures (queue, hour, kind, error, failures, last_at, last_id)
SELECT 'mails', date_trunc('hour', now()) - make_interval(hours => ago), kind, error, often + ago % 5, now() - make_interval(hours => ago, mins => 2), id
  FROM generate_series(0, 23) AS ago,
       (VALUES ('SendEmail', 'could not send the mail to #: Connection refused (os error #): smtp.example.com:#', 160, 3),
               ('PasswordReset', '# mailbox busy: try again later', 61, 9),
               ('WeeklyDigest', 'template "digest" has no block "header"', 12, 14),
               ('SendEmail', 'the handler panicked: index out of bounds: the len is # but the index is #', 2, 8)) AS of (kind, error, often, id);
ANALYZE;
