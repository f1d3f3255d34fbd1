use postgres_types::Type;

use super::{Store, statements};
use crate::{database::Lane, error::DatabaseError, migrate, name::quote_identifier};

/// What a start finds in the database.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// The table's oid, where there is a table.
    pub(crate) table: Option<u32>,
    /// All that is missing, each with what to do.
    pub(crate) problems: Vec<String>,
}

impl Store {
    /// Looks whether the queue's table, its version and its grants are there.
    pub(crate) async fn inspect(&self) -> Result<Inspection, DatabaseError> {
        let (schema, table) = (self.name.schema(), self.name.table());
        let rows = self
            .database
            .query(
                Lane::Control,
                &self.attempted("inspect the schema"),
                statements::INSPECT,
                &[(&schema, Type::TEXT), (&table, Type::TEXT)],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Ok(Inspection { table: None, problems: vec!["the catalog answered nothing".to_owned()] });
        };
        let role: &str = row.get("role");
        let grantee = quote_identifier(role);
        let queue = &self.name;
        let mut problems = Vec::new();
        if !row.get::<_, bool>("has_schema") {
            problems.push(format!(
                "there is no schema {schema:?} in this database: correct the name, or run migrate(), which creates it"
            ));
            return Ok(Inspection { table: None, problems });
        }
        if !row.get::<_, bool>("usage") {
            let quoted = queue.quoted_schema();
            problems.push(format!(
                "role {role:?} may not use schema {schema:?}: GRANT USAGE ON SCHEMA {quoted} TO {grantee}"
            ));
        }
        let table: Option<u32> = row.get("queue");
        let migrated = row.get::<_, Option<u32>>("migrations").is_some();
        if table.is_none() || !migrated || row.get::<_, Option<u32>>("nodes").is_none() {
            problems.push(format!("queue {queue} has no table yet: run migrate() once, or the SQL that it prints"));
            return Ok(Inspection { table, problems });
        }
        let lacks = |missing: &str, object: &str| {
            format!("role {role:?} lacks rights on {object}: GRANT {missing} ON {object} TO {grantee}")
        };
        let missing: Vec<&str> = row.get("missing_on_queue");
        if !missing.is_empty() {
            problems.push(lacks(&missing.join(", "), &queue.quoted_table()));
        }
        for (table, missing) in
            row.get::<_, Vec<&str>>("missing_on_shared").iter().filter_map(|told| told.split_once(':'))
        {
            problems.push(lacks(missing, &format!("{}.{table}", queue.quoted_schema())));
        }
        for function in row.get::<_, Vec<&str>>("missing_functions") {
            problems.push(format!(
                "role {role:?} may not call {function}: GRANT EXECUTE ON FUNCTION {function} TO {grantee}"
            ));
        }
        if let Some(found) = row.get::<_, Option<&str>>("params")
            && found != self.kind.column_type()
        {
            let wanted = self.kind.column_type();
            problems.push(format!("queue {queue} keeps its params as {found} and is declared for {wanted}: declare it as it is, or use another table"));
        }
        if row.get::<_, bool>("reads_migrations") && row.get("usage") {
            problems.extend(self.version_problems().await?);
        }
        if !row.get::<_, bool>("reads_migrations") {
            let object = format!("{}.job_queue_migrations", queue.quoted_schema());
            problems.push(format!("role {role:?} may not read {object}: GRANT SELECT ON {object} TO {grantee}"));
        }
        Ok(Inspection { table, problems })
    }

    async fn version_problems(&self) -> Result<Vec<String>, DatabaseError> {
        let table = self.name.table();
        let rows = self
            .database
            .query(Lane::Control, &self.attempted("read the migrations"), &self.sql.versions, &[(&table, Type::TEXT)])
            .await?;
        let version = |target: &str| {
            rows.iter().find(|row| row.get::<_, &str>("target") == target).map_or(0, |row| row.get("version"))
        };
        Ok([("", "the shared objects", migrate::SCHEMA_VERSION), (table, "the table", migrate::QUEUE_VERSION)]
            .into_iter()
            .filter_map(|(target, what, known)| {
                let found: i32 = version(target);
                let queue = &self.name;
                match found.cmp(&known) {
                    std::cmp::Ordering::Equal => None,
                    std::cmp::Ordering::Less => Some(format!(
                        "{what} of queue {queue} is at migration {found} and this version needs {known}: run migrate()"
                    )),
                    std::cmp::Ordering::Greater => Some(format!(
                        "{what} of queue {queue} is at migration {found} and this version knows {known}: upgrade the application"
                    )),
                }
            })
            .collect())
    }
}
