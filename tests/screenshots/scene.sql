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
ANALYZE;
