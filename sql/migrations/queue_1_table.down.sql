DROP TABLE {table};
-- Another queue of this name begins anew.
DELETE FROM {schema}.job_queue_pauses WHERE queue = {queue_literal};
DELETE FROM {schema}.job_queue_activity WHERE queue = {queue_literal};
DELETE FROM {schema}.job_queue_failures WHERE queue = {queue_literal};
DELETE FROM {schema}.job_queue_history WHERE queue = {queue_literal};
