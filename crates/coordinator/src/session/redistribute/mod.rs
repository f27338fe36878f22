//! `ALTER TABLE … DISTRIBUTE`: the rows of a table go to where another distribution wants them.

mod rows;
mod value;

use std::sync::Arc;
use std::time::{Duration, Instant};

use openpeta_mysql_wire::ErrPacket;
use tokio::sync::watch;

use super::copy::Copied;
use super::define::{check, definition_of, shown_definition, without_option, write};
use super::{Failure, Session};
use crate::Refusal;
use crate::catalogue::{Definition, Named, OPTION, hidden_name};
use crate::node::NodeConnection;
use crate::plan::define::{Name, Redistribute, quoted};
use crate::service::{
    Instance, Intent, Mark, Redistribution, connect, finish, literal, others, run, texts,
};
use crate::topology::Topology;
use rows::{Rows, refuse_cancelled};

/// How long statements that use a table may take to end, each time that it is tried.
const MOMENT: Duration = Duration::from_secs(2);
/// How long it is tried.
const PATIENCE: Duration = Duration::from_secs(50);
/// How long they go on in between.
const PAUSE: Duration = Duration::from_millis(500);

impl Session {
    /// Carries it out. What has begun ends without the session, one way or the other.
    pub(super) async fn redistribute(
        &mut self,
        change: Redistribute,
        more: bool,
    ) -> Result<Copied, Failure> {
        if self.locked.is_some() || self.is_locked_at_home() {
            return Err(ErrPacket::new(
                1192,
                b"HY000",
                "Can't execute the given command because you have active locked tables or an active transaction",
            )
            .into());
        }
        self.may_alter(&change.name).await?;
        let (cancel, cancelled) = watch::channel(false);
        let work = Change {
            instance: Arc::clone(&self.instance),
            name: change.name,
            to: change.to,
            cancelled,
        };
        let running = Arc::clone(self.nodes.running());
        running.set_redistributes(true);
        let mut work = tokio::spawn(work.run());
        let ended = async {
            let ended = async { Ok((&mut work).await) };
            Ok(running.unless_interrupted(ended).await?)
        };
        let ended = self.client.attend(ended).await;
        let (ended, told) = match ended {
            Ok(ended) => (ended, None),
            Err(failure) => {
                // It comes back from where it is, unless that is decided.
                let _ = cancel.send(true);
                (work.await, Some(failure))
            }
        };
        running.set_redistributes(false);
        let copied = ended.unwrap_or_else(|_| {
            Err(Refusal::new("ddl-unfinished", "it was cut off, and will be finished").into())
        });
        if let Some(failure) = told
            && (copied.is_err() || matches!(failure, Failure::Client))
        {
            return Err(failure);
        }
        let rows = copied?;
        let info = format!("Records: {rows}  Duplicates: 0  Warnings: 0");
        self.done(rows, 0, 0, info, more).await
    }

    /// Whether the account may alter a table: home says so, and if it is another kind of table.
    async fn may_alter(&mut self, name: &Name) -> Result<(), Failure> {
        let name = quoted(name);
        let shown = format!("SHOW CREATE TABLE {name}");
        let shown = texts(self.nodes.home(), &shown).await;
        let shown = shown.map_err(home_lost)?;
        let is_temporary = shown
            .first()
            .and_then(|row| row.get(1))
            .is_some_and(|it| it.starts_with("CREATE TEMPORARY "));
        if is_temporary {
            return Err(Refusal::new(
                "temporary-name",
                "a temporary table of the session has that name",
            )
            .into());
        }
        // It changes nothing, and who uses the table is waited for later: rights are looked at first.
        let alter = format!("SET STATEMENT lock_wait_timeout=0 FOR ALTER TABLE {name}");
        let reply = self.nodes.home().query(&alter).await;
        match reply.map_err(Failure::Home)?.ok() {
            Err(error) if error.code != LOCK_WAIT => return Err(error.into()),
            _ => {}
        }
        Ok(())
    }
}

/// What is asked of the session's own connection.
fn home_lost(failure: Failure) -> Failure {
    match failure {
        Failure::Branch { source, .. } => Failure::Home(source),
        other => other,
    }
}

/// A table whose rows go elsewhere.
struct Change {
    instance: Arc<Instance>,
    name: Name,
    to: Option<Definition>,
    cancelled: watch::Receiver<bool>,
}

impl Change {
    /// Carries it out; how many rows were copied.
    async fn run(mut self) -> Result<u64, Failure> {
        let instance = Arc::clone(&self.instance);
        let _defining = instance.definitions().read_owned().await;
        instance.refuse_company()?;
        let names = [self.name.clone()];
        let locks = instance.locks();
        let held = self.unless_cancelled(locks.redefine(&names)).await?;
        let catalogue = instance.catalogue().await?;
        let before = match catalogue.get(&self.name.0, &self.name.1) {
            Some(Named::Table(table)) => Some(definition_of(table)),
            Some(Named::Indirect(_)) => return Err(triggered().into()),
            None => None,
        };
        if before == self.to {
            return Ok(0);
        }
        let topology = instance.topology();
        if topology.is_moving() || topology.owned(&self.name.0).is_some() {
            return Err(Refusal::new("moving", "partitions are being moved to other nodes").into());
        }
        let mut home = connect(&instance, Topology::HOME).await?;
        let definition = self.to.clone().or(before.clone());
        let definition = definition.unwrap_or(Definition::Broadcast);
        let table = check(&mut home, &self.name, &definition).await?;
        if table.has_triggers {
            return Err(triggered().into());
        }
        let marked = match before {
            None => self.marked(&mut home).await?,
            Some(_) => Vec::new(),
        };
        // What is in doubt may be about this table.
        drop(instance.alone(&topology.nodes_of(&self.name.0)).await?);
        let number = instance.life().log.next_id().number;
        let mut redistribution = Redistribution {
            name: self.name.clone(),
            hidden: hidden_name("new", number),
            old: hidden_name("old", number),
            was_single: before.is_none(),
            becomes_single: self.to.is_none(),
            decided: false,
        };
        let written = write(&instance, &Intent::Redistribute(redistribution.clone()))?;
        let (mut mark, mut swap) = (None, None);
        let done = async {
            let from = match before {
                None => {
                    mark = Some(self.put_aside(&mut home, &redistribution, marked).await?);
                    instance.stops().come("put-aside").await;
                    // Nobody can change it from here on.
                    self.marked(&mut home).await?;
                    redistribution.old()
                }
                Some(_) => self.name.clone(),
            };
            let table = check(&mut home, &from, &definition).await?;
            if table.has_triggers {
                return Err(triggered().into());
            }
            self.make(&mut home, &from, &redistribution).await?;
            instance.stops().come("made").await;
            let rows = Rows {
                instance: &instance,
                topology: &topology,
                table: &table,
                becomes_single: self.to.is_none(),
                from,
                sources: match before {
                    Some(Definition::Hash(_)) => topology.nodes_of(&self.name.0),
                    _ => vec![Topology::HOME],
                },
                to: redistribution.hidden(),
                targets: match self.to {
                    Some(_) => topology.nodes_of(&self.name.0),
                    None => vec![Topology::HOME],
                },
            };
            let copied = rows.copy(&self.cancelled).await?;
            instance.stops().come("copied").await;
            rows.compare(copied).await?;
            if self.to.is_none() && table.auto_increment.is_some() {
                self.go_on_counting(&mut home, &redistribution).await?;
            }
            instance.stops().come("compared").await;
            refuse_cancelled(&self.cancelled)?;
            // A process that begins from here on waits until it is over.
            swap = Some(instance.swap().await.map_err(not_locked)?);
            instance.refuse_company()?;
            let decided = Redistribution {
                decided: true,
                ..redistribution.clone()
            };
            let intent = Intent::Redistribute(decided);
            written.replace(&intent).map_err(|error| {
                tracing::error!(%error, "an intent cannot be written");
                Failure::from(Refusal::new(
                    "ddl-log",
                    "the definition cannot be written down, so it is not begun",
                ))
            })?;
            Ok(copied)
        };
        let done: Result<u64, Failure> = done.await;
        home.quit().await;
        redistribution.decided = done.is_ok();
        instance.stops().come("decided").await;
        let finished = finish(&instance, &Intent::Redistribute(redistribution)).await;
        match finished {
            Ok(_) => written.done(),
            // Whoever comes next brings it to its end.
            Err(failure) => {
                drop(written);
                instance.has_intents(&failure);
                return done.and(Err(failure));
            }
        }
        instance.forget_tables();
        if before.is_none() && done.is_ok() {
            instance.changing().changed();
        }
        drop((mark, held, swap));
        done
    }

    /// Makes the tables that rows are copied to.
    async fn make(
        &self,
        home: &mut NodeConnection,
        from: &Name,
        redistribution: &Redistribution,
    ) -> Result<(), Failure> {
        let mode = "SET SESSION sql_mode = ''".to_owned();
        run(home, Topology::HOME, &[mode]).await?;
        let shown = shown_definition(home, from).await?;
        let head = format!("CREATE TABLE `{}`", from.1.replace('`', "``"));
        let Some(body) = shown.strip_prefix(&head) else {
            let what = "the definition cannot be given to other tables";
            return Err(Refusal::new("ddl-form", what).into());
        };
        let mut create = format!(
            "CREATE TABLE {}{}",
            quoted(&redistribution.hidden()),
            without_option(body)
        );
        let mut nodes = vec![Topology::HOME];
        if let Some(to) = &self.to {
            create.push_str(&format!(" {OPTION}={}", literal(&to.value())));
            nodes.extend(others(&self.instance, &self.name.0));
        }
        for node in nodes {
            let mut connection = connect(&self.instance, node).await?;
            let statements = [
                "SET SESSION sql_mode = 'IGNORE_BAD_TABLE_OPTIONS'".to_owned(),
                create.clone(),
            ];
            run(&mut connection, node, &statements).await?;
            connection.quit().await;
        }
        Ok(())
    }

    /// Gives the table another name at home, when nobody uses it: from then on nobody can.
    async fn put_aside(
        &mut self,
        home: &mut NodeConnection,
        redistribution: &Redistribution,
        names: Vec<String>,
    ) -> Result<(Mark, tokio::sync::OwnedMutexGuard<()>), Failure> {
        let instance = Arc::clone(&self.instance);
        let turn = instance.changing().turn();
        let turn = async { Ok(turn.lock_owned().await) };
        let turn = self.unless_cancelled(turn).await?;
        let wait = format!("SET SESSION lock_wait_timeout = {}", MOMENT.as_secs());
        run(home, Topology::HOME, &[wait]).await?;
        let rename = format!(
            "RENAME TABLE {} TO {}",
            quoted(&self.name),
            quoted(&redistribution.old())
        );
        let end = Instant::now() + PATIENCE;
        loop {
            refuse_cancelled(&self.cancelled)?;
            let mark = instance.changing().mark(names.clone());
            if mark.alone(&instance, MOMENT).await {
                let reply = home.query(&rename).await.map_err(Failure::Home);
                match reply?.ok() {
                    Ok(_) => return Ok((mark, turn)),
                    Err(error) if error.code != LOCK_WAIT => return Err(error.into()),
                    Err(_) => {}
                }
            }
            drop(mark);
            if Instant::now() >= end {
                let what = "Lock wait timeout exceeded; try restarting transaction";
                return Err(ErrPacket::new(LOCK_WAIT, b"HY000", what).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The words in statements that may be about a table that is whole at home: its name, those of views over
    /// it, and what runs other texts.
    async fn marked(&self, home: &mut NodeConnection) -> Result<Vec<String>, Failure> {
        let mut names = vec![self.name.1.clone()];
        let all = texts(
            home,
            "SELECT 'view', TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA <> 'sys' \
             UNION ALL SELECT 'routine', ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES \
             WHERE ROUTINE_SCHEMA NOT IN ('sys', 'mysql') \
             UNION ALL SELECT 'event', EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS \
             UNION ALL SELECT 'trigger', EVENT_OBJECT_TABLE, ACTION_STATEMENT FROM information_schema.TRIGGERS",
        )
        .await?;
        let mut again = true;
        while std::mem::take(&mut again) {
            for row in &all {
                let [kind, name, body] = &row[..] else {
                    continue;
                };
                let body = body.to_ascii_lowercase();
                let leads = names
                    .iter()
                    .any(|it| has_word(&body, &it.to_ascii_lowercase()));
                match kind.as_str() {
                    _ if !leads => {}
                    "view" if names.contains(name) => {}
                    "view" => {
                        names.push(name.clone());
                        again = true;
                    }
                    "trigger" => return Err(triggered().into()),
                    _ => {
                        let what = format!("`{name}` is a stored program that names the table");
                        return Err(Refusal::new("routine", what).into());
                    }
                }
            }
        }
        names.extend(["EXECUTE".to_owned(), "CALL".to_owned()]);
        Ok(names)
    }

    /// A table that is whole at home gets its ids from the server, which must not give one twice.
    async fn go_on_counting(
        &self,
        home: &mut NodeConnection,
        redistribution: &Redistribution,
    ) -> Result<(), Failure> {
        let next = self
            .instance
            .ids()
            .take(&self.instance, &self.name, 1)
            .await?;
        let alter = format!(
            "ALTER TABLE {} AUTO_INCREMENT = {next}",
            quoted(&redistribution.hidden())
        );
        run(home, Topology::HOME, &[alter]).await
    }

    /// Waits for something, unless it is not wanted any more.
    async fn unless_cancelled<T>(
        &mut self,
        work: impl Future<Output = Result<T, ErrPacket>>,
    ) -> Result<T, Failure> {
        let mut cancelled = self.cancelled.clone();
        tokio::select! {
            done = work => Ok(done?),
            _ = cancelled.wait_for(|cancelled| *cancelled) => {
                refuse_cancelled(&self.cancelled)?;
                Err(Failure::Client)
            }
        }
    }
}

/// `ER_LOCK_WAIT_TIMEOUT`.
const LOCK_WAIT: u16 = 1205;

fn not_locked(error: std::io::Error) -> Failure {
    tracing::error!(%error, "a table cannot be brought over");
    let what = "the service cannot use its own directory, or reads it for too long";
    Refusal::new("ddl-log", what).into()
}

fn triggered() -> Refusal {
    Refusal::new(
        "trigger",
        "the table has triggers, or a trigger names it: drop them first",
    )
}

/// Whether a word stands in a text by itself.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let mut places = text.match_indices(word);
    places.any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
