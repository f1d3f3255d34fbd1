-- Guarantees for the jobs of several callers that all of them exist or none, in one statement that is its own transaction:
-- where a trigger keeps one out, nobody could tell whose ids the others are. The ids ascend as those of enqueue.sql.
-- as enqueue.sql
WITH inserted AS (
{enqueue}
), counted AS (
    SELECT count(*) AS jobs
      FROM inserted
)
SELECT inserted.id,
       -- A text that is no number fails the statement and says why, to whoever may insert and may not call our functions.
       CASE WHEN counted.jobs < cardinality($1)
            THEN (counted.jobs || ' of ' || cardinality($1) || ' jobs inserted, a trigger keeps the others out')::integer
       END AS refused
  FROM counted LEFT JOIN inserted ON true
