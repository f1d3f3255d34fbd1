-- Guarantees that a commit is not taken for one: fails in a transaction that an earlier error has aborted,
-- whose COMMIT the server would answer by rolling back, and names the transaction that is open.
SELECT pg_current_xact_id_if_assigned()::text AS xid
