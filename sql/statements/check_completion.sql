-- Guarantees that the COMMIT sent right behind this keeps what the completion's own transaction did, or that
-- it is not reached: fails in a transaction that an earlier error has aborted, whose COMMIT the server would
-- answer by rolling back, and in any other transaction than that which was opened.
SELECT CASE WHEN pg_current_xact_id_if_assigned() IS DISTINCT FROM '{xid}'::xid8
            THEN {schema}.job_queue_refuse('JQ002', 'the transaction of this completion was ended by SQL')
       END
