-- Tells of the wanted job if it is performed under this lease still. Part of each statement that looks for many, once for
-- each: after a flood of jobs the planner takes the table for an empty one, and would rather go through all entries of the
-- primary key once. The state is compared under a collation of its own so that no partial index answers: that of what is
-- held looks small, but keeps the entries of jobs long done while some transaction may still see them.
 FROM {table}
WHERE id = wanted.id
  AND lease = wanted.lease
  AND state COLLATE "C" = 'IN_PROGRESS'
LIMIT 1
