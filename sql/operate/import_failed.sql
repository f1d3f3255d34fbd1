-- Guarantees that jobs which were failed where they come from are failed here before anybody sees them.
-- $1 ids, $2 attempts
UPDATE {table} AS job
   SET state = 'FAILED',
       attempt = given.attempt
  FROM unnest($1::bigint[], $2::integer[]) AS given (id, attempt)
 WHERE job.id = given.id
