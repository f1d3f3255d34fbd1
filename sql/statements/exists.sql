-- Tells whether there is a job of this number, whatever its state.
-- $1 id
SELECT FROM {table} WHERE id = $1
