-- Tells that a place is one row's: a table with partitions or children has a row in each of them at the same place. Part of
-- each statement that finds rows by their place, for which it is one look.
(SELECT NOT relhassubclass FROM pg_class WHERE oid = {table_literal}::regclass)
