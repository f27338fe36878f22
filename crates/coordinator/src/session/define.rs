//! Definitions of distributed tables, on all nodes or none.

mod everywhere;

use std::sync::Arc;

use openpeta_mysql_wire::ErrPacket;

use super::copy::Copied;
use super::show::Diagnostic;
use super::{Failure, Session};
use crate::Refusal;
use crate::catalogue::{
    Definition, LoadError, OPTION, Table, exact_definition, hidden_name, read_table,
};
use crate::node::{NodeConnection, Reply};
use crate::plan::define::{Create, Define, Name, quoted};
use crate::plan::text::Tokens;
use crate::service::{
    Defining, Instance, Intent, Written, connect, exists, finish, literal, others, run, texts,
};
use crate::topology::Topology;

/// Lets a table have an option that the server does not know.
const KEEPS_OPTIONS: &str = "SET SESSION sql_mode = 'IGNORE_BAD_TABLE_OPTIONS'";

impl Session {
    /// Carries a definition out.
    pub(super) async fn define(
        &mut self,
        define: Define,
        tokens: &Tokens<'_>,
        more: bool,
    ) -> Result<Copied, Failure> {
        self.learn_if_stale().await?;
        self.refuse_locked_table()?;
        // Until all nodes have it.
        let _defining = self.instance.definitions().read_owned().await;
        if !matches!(define, Define::CreateSingle) {
            self.refuse_moving()?;
        }
        let _apart = match define {
            // Others need not know of it; the other looks for them itself.
            Define::CreateSingle | Define::Redistribute(_) => None,
            _ => Some(self.instance.define_alone().await?),
        };
        match define {
            Define::Create(create) => self.create(create, more).await,
            Define::CreateSingle => self.create_single(tokens, more).await,
            Define::Everywhere(everywhere) => self.everywhere(everywhere, tokens, more).await,
            Define::Redistribute(change) => self.redistribute(change, more).await,
            Define::Trigger(table) => self.trigger(table, tokens, more).await,
        }
    }

    /// Something is defined at home that leads to distributed tables, by a view or a stored program: whoever plans
    /// must know of it. `None` if it does not.
    pub(super) async fn leads_to_distributed(
        &self,
        tokens: &Tokens<'_>,
    ) -> Result<Option<Defining>, Failure> {
        let catalogue = self.instance.catalogue().await?;
        let database = self.facts.database.as_deref();
        let named = catalogue.mentioned(tokens.text, database, self.facts.dialect);
        match named.is_empty() {
            true => Ok(None),
            false => Ok(Some(self.instance.define_alone().await?)),
        }
    }

    /// Has home carry out a definition that was written down; the others follow. When home is lost it may have
    /// been carried out, which is found out later.
    pub(super) async fn home_defines(&mut self, statement: &[u8]) -> Result<Reply, Failure> {
        let reply = self.nodes.home().query(statement).await;
        self.instance.forget_tables();
        reply.map_err(|source| {
            let failure = Failure::Home(source);
            self.instance.has_intents(&failure);
            failure
        })
    }

    /// What nodes have must stay as it is while partitions move to one that gets it as well.
    pub(super) fn refuse_moving(&self) -> Result<(), Failure> {
        match self.instance.topology().is_moving() {
            true => Err(Refusal::new(
                "moving",
                "partitions are being moved to other nodes; try again when the database is active",
            )
            .into()),
            false => Ok(()),
        }
    }

    fn refuse_locked_table(&self) -> Result<(), Failure> {
        match self.instance.write_lock() {
            Some(reason) => Err(ErrPacket::new(1290, b"HY000", reason).into()),
            None => Ok(()),
        }
    }

    /// A table on home alone, which is worth a note: nobody asked for that in so many words.
    async fn create_single(&mut self, tokens: &Tokens<'_>, more: bool) -> Result<Copied, Failure> {
        let reply = self
            .nodes
            .home()
            .query(tokens.text)
            .await
            .map_err(Failure::Home)?;
        self.instance.forget_tables();
        match reply.ok()? {
            Reply::Ok(ok) if ok.head.warnings == 0 => {
                self.diagnostics = Some(vec![Diagnostic::note(
                    1105,
                    "OpenPeta: the table has no DISTRIBUTE clause, so it is whole on the first node".into(),
                )]);
                let info = String::from_utf8_lossy(&ok.info).into_owned();
                self.done(ok.head.affected_rows, 0, 1, info, more).await
            }
            Reply::Ok(ok) => {
                let info = String::from_utf8_lossy(&ok.info).into_owned();
                let told = self.warnings_of(Topology::HOME).await?;
                self.diagnostics = Some(told);
                self.done(ok.head.affected_rows, 0, ok.head.warnings, info, more)
                    .await
            }
            _ => Err(Refusal::new("ddl-form", "this definition gives rows").into()),
        }
    }

    async fn create(&mut self, create: Create, more: bool) -> Result<Copied, Failure> {
        let instance = Arc::clone(&self.instance);
        let _redefined = self.redefine(std::slice::from_ref(&create.name)).await?;
        let definition = match (&create.definition, &create.like) {
            (Some(definition), _) => definition.clone(),
            (None, Some((schema, name))) => {
                let catalogue = instance.catalogue().await?;
                let table = catalogue.table(schema, name);
                definition_of(table.ok_or_else(|| no_such_table(schema, name))?)
            }
            (None, None) => return Err(Refusal::new("ddl-form", "it names no distribution").into()),
        };
        let mut home = connect(&instance, Topology::HOME).await?;
        if exists(&mut home, &create.name).await? {
            let message = format!("Table '{}' already exists", create.name.1);
            if !create.if_not_exists {
                return Err(ErrPacket::new(1050, b"42S01", message).into());
            }
            self.diagnostics = Some(vec![Diagnostic::note(1050, message)]);
            return self.done(0, 0, 1, String::new(), more).await;
        }
        let hidden = hidden_name("new", instance.life().log.next_id().number);
        let hidden_name = (create.name.0.clone(), hidden.clone());
        let intent = Intent::Create {
            name: create.name.clone(),
            hidden,
        };
        let written = write(&instance, &intent)?;
        let result = self
            .make(&instance, &mut home, &create, &hidden_name, &definition)
            .await;
        home.quit().await;
        match result {
            Ok(warnings) => {
                written.done();
                instance.forget_tables();
                let told = if warnings > 0 {
                    self.warnings_of(Topology::HOME).await?
                } else {
                    Vec::new()
                };
                self.diagnostics = Some(told);
                self.done(0, 0, warnings, String::new(), more).await
            }
            Err(failure) => {
                instance.forget_tables();
                match finish(&instance, &intent).await {
                    Ok(_) => written.done(),
                    // Whoever comes next removes what is left.
                    Err(error) => instance.has_intents(&error),
                }
                Err(failure)
            }
        }
    }

    /// Makes the table under another name at home, then on all other nodes, and gives it its name.
    async fn make(
        &mut self,
        instance: &Instance,
        home: &mut NodeConnection,
        create: &Create,
        hidden: &Name,
        definition: &Definition,
    ) -> Result<u16, Failure> {
        let statement = [
            format!("CREATE TABLE {}", quoted(hidden)).into_bytes(),
            create.rest.clone(),
        ]
        .concat();
        let reply = self
            .nodes
            .home()
            .query(&statement)
            .await
            .map_err(Failure::Home)?;
        let warnings = match reply
            .ok()
            .map_err(|error| named(error, hidden, &create.name))?
        {
            Reply::Ok(ok) => ok.head.warnings,
            _ => 0,
        };
        let table = check(home, hidden, definition).await?;
        refuse_lost_words(&create.rest, &table)?;
        run(
            home,
            Topology::HOME,
            &["SET SESSION sql_mode = ''".to_owned()],
        )
        .await?;
        let shown = shown_definition(home, hidden).await?;
        let old_head = format!("CREATE TABLE `{}`", hidden.1.replace('`', "``"));
        let Some(body) = shown.strip_prefix(&old_head) else {
            return Err(
                Refusal::new("ddl-form", "the definition cannot be given to other nodes").into(),
            );
        };
        let option = format!("{OPTION}={}", literal(&definition.value()));
        let body = without_option(body);
        let on_node = format!("CREATE TABLE {}{body} {option}", quoted(&create.name));
        for node in others(instance, &create.name.0) {
            let mut connection = connect(instance, node).await?;
            let statements = [
                KEEPS_OPTIONS.to_owned(),
                "SET SESSION foreign_key_checks = 0".to_owned(),
                on_node.clone(),
            ];
            run(&mut connection, node, &statements).await?;
            connection.quit().await;
        }
        let last = [
            KEEPS_OPTIONS.to_owned(),
            format!("ALTER TABLE {} {option}", quoted(hidden)),
            format!(
                "RENAME TABLE {} TO {}",
                quoted(hidden),
                quoted(&create.name)
            ),
        ];
        run(home, Topology::HOME, &last).await?;
        Ok(warnings)
    }
}

/// What `SHOW CREATE TABLE` says at home, with bytes that are no text as numbers, and with what it does not tell.
pub(super) async fn shown_definition(
    home: &mut NodeConnection,
    name: &Name,
) -> Result<String, Failure> {
    let question = format!("SHOW CREATE TABLE {}", quoted(name));
    let reply = home.query(&question).await.map_err(Failure::Home)?;
    let Reply::Rows(rows) = reply.ok()? else {
        return Ok(String::new());
    };
    let rows = rows.texts().map_err(|error| Failure::Home(error.into()))?;
    let shown = rows
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().nth(1));
    let shown = openpeta_sql_route::with_bytes_as_numbers(&shown.flatten().unwrap_or_default());
    let exact = exact_definition(home, (&name.0, &name.1), shown, false);
    exact.await.map_err(not_read)
}

fn no_such_table(schema: &str, name: &str) -> ErrPacket {
    ErrPacket::new(
        1146,
        b"42S02",
        format!("Table '{schema}.{name}' doesn't exist"),
    )
}

pub(super) fn definition_of(table: &Table) -> Definition {
    match table.key() {
        Some(key) => Definition::Hash(key.name.clone()),
        None => Definition::Broadcast,
    }
}

pub(super) fn write(instance: &Instance, intent: &Intent) -> Result<Written, Failure> {
    Written::write(instance, intent).map_err(|error| {
        tracing::error!(%error, "an intent cannot be written");
        Refusal::new(
            "ddl-log",
            "the definition cannot be written down, so it is not begun",
        )
        .into()
    })
}

/// An error with the table's own name.
fn named(mut error: ErrPacket, hidden: &Name, name: &Name) -> ErrPacket {
    let message = String::from_utf8_lossy(&error.message).replace(&hidden.1, &name.1);
    error.message = message.into_bytes();
    error
}

/// Refuses words of `ENUM` and `SET` that no server tells any more: those with characters beyond U+FFFF.
fn refuse_lost_words(statement: &[u8], table: &Table) -> Result<(), Failure> {
    let has_such = statement.iter().any(|byte| *byte >= 0xF0);
    let mut columns = table.columns.iter().filter(|_| has_such);
    let lost = columns.find(|column| {
        matches!(column.data_type.as_str(), "enum" | "set") && column.column_type.contains('?')
    });
    match lost {
        Some(column) => Err(Refusal::new(
            "ddl-form",
            format!(
                "the words of `{}` have characters beyond U+FFFF, which MariaDB does not give back",
                column.name
            ),
        )
        .into()),
        None => Ok(()),
    }
}

/// What an option that is copied along looks like in a definition.
pub(super) fn without_option(body: &str) -> String {
    let mark = format!(" /* `{OPTION}`=");
    match body.find(&mark) {
        Some(at) => {
            let end = body[at..].find("*/").map_or(body.len(), |end| at + end + 2);
            format!("{}{}", &body[..at], &body[end..])
        }
        None => body.to_owned(),
    }
}

/// The distribution column must stay what it is.
fn same_key(before: &Table, after: &Table) -> Result<(), Failure> {
    let Some(key) = before.key() else {
        return Ok(());
    };
    let column = |table: &Table| {
        let column = table
            .columns
            .iter()
            .find(|column| column.name == key.name)?;
        Some((column.column_type.clone(), column.collation.clone()))
    };
    if column(before) == column(after) {
        return Ok(());
    }
    Err(Refusal::new(
        "key-change",
        format!("the distribution column `{}` cannot be changed", key.name),
    )
    .into())
}

pub(super) fn not_read(error: LoadError) -> Failure {
    match error {
        LoadError::Table { why, .. } => Refusal::new("key-column", why).into(),
        LoadError::Refused(error) => error.into(),
        LoadError::Node(source) => Failure::Home(source),
    }
}

/// Reads a table that is to be distributed, and whether it can be.
pub(super) async fn check(
    home: &mut NodeConnection,
    name: &Name,
    definition: &Definition,
) -> Result<Table, Failure> {
    let refuse = |code, what: String| Err(Failure::from(Refusal::new(code, what)));
    let is_it = format!(
        "TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        literal(&name.0),
        literal(&name.1)
    );
    let rows = texts(
        home,
        &format!(
            "SELECT ENGINE, CREATE_OPTIONS, TABLE_TYPE FROM information_schema.TABLES WHERE {is_it}"
        ),
    )
    .await?;
    let Some([engine, options, kind]) = rows.first().map(Vec::as_slice) else {
        return Err(no_such_table(&name.0, &name.1).into());
    };
    if engine != "InnoDB" {
        return refuse(
            "engine",
            format!("distributed tables are of InnoDB, not {engine}"),
        );
    }
    if options.contains("partitioned") {
        return refuse(
            "partitions",
            "distributed tables cannot have partitions of their own".into(),
        );
    }
    if kind != "BASE TABLE" {
        return refuse(
            "versioning",
            "distributed tables cannot be system-versioned".into(),
        );
    }
    let table = read_table(
        home,
        name.0.clone(),
        name.1.clone(),
        engine.clone(),
        definition.clone(),
    )
    .await;
    let table = table.map_err(not_read)?;
    if table.has_foreign_keys {
        return refuse(
            "foreign-key",
            "foreign keys of, and to, distributed tables are not supported".into(),
        );
    }
    let random = table.columns.iter().find(|column| {
        let default = column
            .default
            .as_deref()
            .unwrap_or_default()
            .to_ascii_lowercase();
        ["uuid", "rand", "nextval", "connection_id", "sysdate"]
            .iter()
            .any(|word| default.contains(word))
    });
    if let (Some(column), None) = (random, table.key()) {
        return refuse(
            "broadcast-write",
            format!(
                "the default of `{}` would differ from node to node",
                column.name
            ),
        );
    }
    let Some(key) = table.key() else {
        return Ok(table);
    };
    let uniques = texts(
        home,
        &format!(
            "SELECT INDEX_NAME, MAX(COLUMN_NAME = {} AND SUB_PART IS NULL) \
             FROM information_schema.STATISTICS WHERE {is_it} AND NON_UNIQUE = 0 GROUP BY INDEX_NAME",
            literal(&key.name)
        ),
    )
    .await?;
    let without = uniques
        .iter()
        .find(|row| row.get(1).is_some_and(|has| has != "1"));
    if let Some(index) = without.and_then(|row| row.first()) {
        return refuse(
            "key-unique",
            format!(
                "the distribution column `{}` must be a column of each unique key, also of {index}",
                key.name
            ),
        );
    }
    Ok(table)
}
