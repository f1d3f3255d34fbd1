-- Guarantees for the jobs of several callers that all of them exist or none, in one statement that is its own transaction:
-- where a trigger keeps one out, nobody could tell whose ids the others are. The ids ascend as those of enqueue.sql.
-- as enqueue.sql
WITH inserted AS (
{enqueue}
)
SELECT id,
       CASE WHEN (SELECT count(*) FROM inserted) < cardinality($1)
            THEN {schema}.job_queue_refuse('JQ003', 'a trigger keeps out one of these jobs')
       END AS refused
  FROM inserted
