-- Guarantees that a page of jobs costs no more than looking through so many of them, whatever is asked for: they are
-- walked in the order of an index from where the last page ended. The last that was walked is among the rows, so
-- that the next page can go on from it.
--
-- How many is hidden from the planner in a subquery, as the place is. It supposes a tenth of them then, and takes the index
-- in its order; where it sees the number, reading and sorting all that lies behind the place may seem cheaper to it.
-- $1 how many to walk, $2 how many rows, $3 to $5 the place to go on from: priority, time and id, or null, $6 states,
-- $7 type, $8 pattern of the last error's text, $9 JSON path, $10 and $11 least and greatest age in seconds, $12 ids, $13 node
SELECT {columns},
       job.nth,
       {matches} AS matches,
       job.priority AS at_priority,
       {time} AS at_time,
       job.id AS at_id
  FROM (SELECT walked.*, row_number() OVER () AS nth
          FROM (SELECT * FROM {table} WHERE {walk} ORDER BY {order} LIMIT (SELECT $1::bigint)) AS walked) AS job
 WHERE {matches} OR job.nth = $1
 LIMIT $2
