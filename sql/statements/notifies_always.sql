-- Tells whether inserts are announced always, and not to those who wait only.
SELECT t.tgnargs > 1 AS always
  FROM pg_trigger AS t
 WHERE t.tgrelid = {table_literal}::regclass
   AND t.tgname = 'job_queue_inserted'
