DROP TABLE {schema}.job_queue_nodes;
DROP TABLE {schema}.job_queue_migrations;
