//! Definitions that all nodes run, home first; what depends on rows is tried before with those of other nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    KEEPS_OPTIONS, check, definition_of, named, no_such_table, refuse_lost_words, same_key, write,
};
use crate::Refusal;
use crate::catalogue::{Table, hidden_name};
use crate::node::Reply;
use crate::plan::define::{Everywhere, Kind, Name, quoted};
use crate::plan::text::Tokens;
use crate::service::{Instance, Intent, connect, fingerprint, finish, others, run};
use crate::session::copy::Copied;
use crate::session::show::Diagnostic;
use crate::session::{Failure, Session};
use crate::topology::Topology;

/// How many warnings are shown, as `max_error_count` says where nobody has set it.
const MOST_WARNINGS: usize = 64;

impl Session {
    pub(super) async fn everywhere(
        &mut self,
        it: Everywhere,
        tokens: &Tokens<'_>,
        more: bool,
    ) -> Result<Copied, Failure> {
        let instance = Arc::clone(&self.instance);
        let names: Vec<Name> = it.tables.iter().chain(&it.renamed).cloned().collect();
        let _redefined = self.redefine(&names).await?;
        let catalogue = instance.catalogue().await?;
        let is_known =
            |name: &&Name| catalogue.table(&name.0, &name.1).is_some() || it.renamed.contains(name);
        if let Some((schema, name)) = it.tables.iter().find(|name| !is_known(name)) {
            return Err(no_such_table(schema, name).into());
        }
        let schema = &it.tables[0].0;
        let mut setup = self.setup();
        if it.kind == Kind::Alter {
            self.try_out(&instance, &it, &setup).await?;
        }
        setup.push("SET SESSION foreign_key_checks = 0".into());
        let mut before = BTreeMap::new();
        for node in instance.topology().nodes_of(schema) {
            let mut connection = connect(&instance, node).await?;
            before.insert(node, fingerprint(&mut connection, &it.tables).await?);
            connection.quit().await;
        }
        let statement = String::from_utf8_lossy(&it.statement).into_owned();
        let intent = Intent::Everywhere {
            tables: it.tables.clone(),
            setup,
            statement,
            before,
        };
        let written = write(&instance, &intent)?;
        let reply = self.home_defines(tokens.text).await?;
        let (mut warnings, mut told) = match &reply {
            Reply::Ok(ok) if ok.head.warnings > 0 => {
                (ok.head.warnings, self.warnings_of(Topology::HOME).await?)
            }
            _ => (0, Vec::new()),
        };
        // A DROP that failed for one table may have dropped others: what home did, all do.
        let elsewhere = match finish(&instance, &intent).await {
            Ok(elsewhere) => {
                written.done();
                elsewhere
            }
            Err(failure) => {
                match &failure {
                    // It would refuse it again.
                    Failure::Statement(_) => {
                        tracing::error!(%failure, "a definition was carried out on some nodes alone");
                        written.done();
                    }
                    _ => instance.has_intents(&failure),
                }
                reply.ok()?;
                return Err(failure);
            }
        };
        // A counter may be set to what nobody has reserved.
        if it.kind != Kind::Alter || tokens.has_word("AUTO_INCREMENT") {
            for (number, name) in it.tables.iter().enumerate() {
                instance
                    .ids()
                    .forget(&instance, name, it.renamed.get(number))
                    .await?;
            }
        }
        let (schema, name) = &it.tables[0];
        let table = catalogue.table(schema, name);
        // Of a broadcast table, all nodes tell the same.
        let has_other_rows = table.is_some_and(|it| it.key().is_some());
        if has_other_rows {
            for (count, rows) in elsewhere.warned {
                let rows = rows.into_iter().filter_map(Diagnostic::of_row).collect();
                warnings = warnings.saturating_add(warned_as_well(&mut told, count, rows));
            }
        }
        self.diagnostics = Some(told);
        match reply.ok()? {
            Reply::Ok(ok) => {
                let mut info = String::from_utf8_lossy(&ok.info).into_owned();
                let mut affected = ok.head.affected_rows;
                if has_other_rows && elsewhere.affected > 0 {
                    affected += elsewhere.affected;
                    info = format!("Records: {affected}  Duplicates: 0  Warnings: {warnings}");
                }
                self.done(affected, 0, warnings, info, more).await
            }
            _ => Err(Refusal::new("ddl-form", "this definition gives rows").into()),
        }
    }

    /// What makes another connection read a statement as the session does.
    fn setup(&self) -> Vec<String> {
        let mut setup: Vec<String> = self.nodes.variables().change(None).into_iter().collect();
        if let Some(database) = &self.facts.database {
            setup.push(format!("USE `{}`", database.replace('`', "``")));
        }
        setup
    }

    /// Redefines an empty copy of a table, to see what would become of it.
    async fn try_out(
        &mut self,
        instance: &Instance,
        it: &Everywhere,
        setup: &[String],
    ) -> Result<(), Failure> {
        let Some((head, tail)) = &it.around else {
            return Ok(());
        };
        let name = &it.tables[0];
        let catalogue = instance.catalogue().await?;
        let table = catalogue.table(&name.0, &name.1);
        let table = table.ok_or_else(|| no_such_table(&name.0, &name.1))?;
        let hidden = (
            name.0.clone(),
            hidden_name("new", instance.life().log.next_id().number),
        );
        let mut home = connect(instance, Topology::HOME).await?;
        let drop_it = format!("DROP TABLE IF EXISTS {}", quoted(&hidden));
        let intent = Intent::Create {
            name: hidden.clone(),
            hidden: hidden.1.clone(),
        };
        let written = write(instance, &intent)?;
        let trial = async {
            let like = format!("CREATE TABLE {} LIKE {}", quoted(&hidden), quoted(name));
            run(&mut home, Topology::HOME, &[KEEPS_OPTIONS.to_owned(), like]).await?;
            run(&mut home, Topology::HOME, setup).await?;
            let statement = [&head[..], quoted(&hidden).as_bytes(), tail].concat();
            let reply = home.query(&statement).await.map_err(Failure::Home)?;
            reply.ok().map_err(|error| named(error, &hidden, name))?;
            run(&mut home, Topology::HOME, &["SET NAMES utf8mb4".to_owned()]).await?;
            let after = check(&mut home, &hidden, &definition_of(table)).await?;
            refuse_lost_words(&statement, &after)?;
            same_key(table, &after)?;
            if depends_on_rows(&statement, self.facts.dialect) {
                for node in others(instance, &name.0) {
                    try_with_rows(instance, node, table, &hidden, setup, &statement).await?;
                }
            }
            Ok(())
        };
        let result: Result<(), Failure> = trial.await;
        run(&mut home, Topology::HOME, &[drop_it]).await?;
        written.done();
        home.quit().await;
        result
    }
}

/// Adds what another node warned of, `count` times in all; tells how many are new. What is no row's was told by
/// home as well.
fn warned_as_well(told: &mut Vec<Diagnostic>, count: u16, other: Vec<Diagnostic>) -> u16 {
    let mut known = 0;
    for diagnostic in other {
        if !diagnostic.is_of_row() && told.contains(&diagnostic) {
            known += 1;
        } else {
            told.push(diagnostic);
        }
    }
    told.truncate(MOST_WARNINGS);
    count.saturating_sub(known)
}

/// Whether rows decide if a definition can be carried out.
fn depends_on_rows(statement: &[u8], dialect: openpeta_sql_route::Dialect) -> bool {
    let tokens = Tokens::of(statement, dialect);
    [
        "UNIQUE",
        "PRIMARY",
        "MODIFY",
        "CHANGE",
        "CHECK",
        "CONSTRAINT",
        "CONVERT",
    ]
    .iter()
    .any(|word| tokens.has_word(word))
}

/// Redefines a copy of a node's rows: home must not have done what another node then refuses.
async fn try_with_rows(
    instance: &Instance,
    node: u16,
    table: &Table,
    hidden: &Name,
    setup: &[String],
    statement: &[u8],
) -> Result<(), Failure> {
    let failed = |source| Failure::Branch { node, source };
    let name = (table.schema.clone(), table.name.clone());
    let stored = table.columns.iter().filter(|column| !column.generated);
    let columns: Vec<_> = stored
        .map(|column| crate::quote::identifier(&column.name))
        .collect();
    let columns = columns.join(", ");
    let (copy, original) = (quoted(hidden), quoted(&name));
    let mut connection = connect(instance, node).await?;
    let make = [
        "SET SESSION sql_mode = 'IGNORE_BAD_TABLE_OPTIONS,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'"
            .to_owned(),
        format!("CREATE TABLE {copy} LIKE {original}"),
        // Rows may be there that a constraint would keep out now.
        format!(
            "SET STATEMENT check_constraint_checks = 0 FOR \
             INSERT INTO {copy} ({columns}) SELECT {columns} FROM {original}"
        ),
    ];
    let trial = async {
        run(&mut connection, node, &make).await?;
        run(&mut connection, node, setup).await?;
        let reply = connection.query(statement).await.map_err(failed)?;
        reply.ok().map_err(|error| named(error, hidden, &name))?;
        Ok(())
    };
    let result = trial.await;
    run(
        &mut connection,
        node,
        &[format!("DROP TABLE IF EXISTS {copy}")],
    )
    .await?;
    connection.quit().await;
    result
}
