-- The indexes bear the names that PostgreSQL gave them, so they are found by what they index.
DO {body}
DECLARE
    found regclass;
BEGIN
    FOR found IN
        SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid = {table_literal}::regclass AND NOT indisprimary
    LOOP
        EXECUTE pg_catalog.format('DROP INDEX %s', found);
    END LOOP;
END
{body};
