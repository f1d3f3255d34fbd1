-- Tells how many jobs of each state and type there are in so many per cent of the table's pages, picked at random; with a
-- hundred per cent it is all of them.
-- $1 per cent
SELECT job.state, {type} AS kind, count(*) AS jobs
  FROM {table} AS job TABLESAMPLE SYSTEM ($1)
 GROUP BY job.state, kind
 ORDER BY jobs DESC
 LIMIT 200
