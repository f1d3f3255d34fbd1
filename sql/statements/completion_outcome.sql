-- Guarantees that a commit whose answer was lost is found to have happened, or not.
-- $1 the transaction's number
SELECT pg_xact_status($1::xid8) AS outcome
