-- Guarantees that a commit whose answer was lost is found to have happened, or not. A crash may give the
-- number of a transaction that it undid to a later one: only that of a completion leaves no job behind.
-- $1 the transaction's number, $2 id, $3 lease
SELECT CASE
       -- It committed after this statement's snapshot was taken, in which the job would still be seen.
       WHEN status = 'committed' AND NOT pg_visible_in_snapshot($1::xid8, pg_current_snapshot()) THEN 'in progress'
       WHEN status = 'committed' AND EXISTS (SELECT FROM {table} WHERE id = $2 AND lease >= $3) THEN 'aborted'
       ELSE status
       END AS outcome
  FROM pg_xact_status($1::xid8) AS status
