-- Tells what the server is like.
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::integer AS number,
       pg_is_in_recovery() AS standby,
       current_setting('max_connections')::bigint AS most,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       clock_timestamp() AS now
