//! Statements that ask for rows and bytes of tables: each node is asked for its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::copy::Copied;
use super::{Failure, Session};
use crate::gather::{self, Gathered};
use crate::node::column_name;
use crate::plan::figures::{Answers, Figures, FiguresPlan, Form, Kind, fold};
use crate::topology::Topology;

impl Session {
    /// Answers such a statement; `None` if home is to do it as it stands.
    pub(super) async fn figures(
        &mut self,
        plan: &FiguresPlan,
        text: &[u8],
        more: bool,
    ) -> Result<Option<Copied>, Failure> {
        self.restore_last_insert_id(text).await?;
        let Some((statement, own)) = self.with_figures(plan, text).await? else {
            return Ok(None);
        };
        if matches!(&plan.form, Form::Read { into: true, .. }) {
            let sent = self.nodes.home().send_query(&statement).await;
            sent.map_err(Failure::Home)?;
            return self.copy_reply(Topology::HOME, more).await.map(Some);
        }
        let gathered = Gathered {
            statement,
            ..Gathered::default()
        };
        self.copy_as(&gathered, &own, false, more).await
    }

    /// The same for a statement that was prepared; the values of its parameters are in the plan.
    pub(super) async fn figures_prepared(
        &mut self,
        plan: &FiguresPlan,
        text: &[u8],
    ) -> Result<Option<Copied>, Failure> {
        self.restore_last_insert_id(text).await?;
        if matches!(&plan.form, Form::Read { into: true, .. }) {
            return Ok(None);
        }
        let Some((statement, own)) = self.with_figures(plan, text).await? else {
            return Ok(None);
        };
        let home = self.nodes.home();
        let prepared = home.prepare(&statement).await.map_err(Failure::Home)?;
        let Ok(prepared) = prepared else {
            return Ok(None);
        };
        let closed = home.close_statement(prepared.id).await;
        closed.map_err(Failure::Home)?;
        let gathered = Gathered {
            statement,
            definitions: Some(own),
            ..Gathered::default()
        };
        self.copy_executed(&gathered).await.map(Some)
    }

    /// What home runs in the place of a statement, and the definitions of the statement's own columns.
    async fn with_figures(
        &mut self,
        plan: &FiguresPlan,
        text: &[u8],
    ) -> Result<Option<(Vec<u8>, Vec<Vec<u8>>)>, Failure> {
        let own = match gather::own_definitions(self.nodes.home(), text).await {
            Ok(own) => own,
            // Whatever is wrong with it, home will tell.
            Err(Failure::Statement(_)) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let mut columns = BTreeMap::new();
        for kind in plan.kinds() {
            let all = format!("SELECT * FROM information_schema.{}", kind.name());
            let all = gather::own_definitions(self.nodes.home(), all.as_bytes()).await?;
            columns.insert(kind, names(&all));
        }
        let asked: BTreeSet<Kind> = plan.kinds().into_iter().map(Kind::asked_of).collect();
        let mut figures = BTreeMap::new();
        for kind in asked {
            figures.insert(kind, self.ask_figures(kind, plan).await?);
        }
        let statement = plan.statement(&columns, &figures, &names(&own));
        Ok(statement.map(|statement| (statement, own)))
    }

    async fn ask_figures(&mut self, kind: Kind, plan: &FiguresPlan) -> Result<Figures, Failure> {
        let tables = plan.tables.iter().filter(|table| kind.concerns(table));
        let tables: Vec<_> = tables.cloned().collect();
        let question = kind.question(&tables);
        let mut others = plan.nodes(&self.instance.topology());
        others.retain(|node| *node != Topology::HOME);
        let work = gather::ask_beside(&mut self.nodes, &others, question.as_bytes());
        let mut answers = Answers::new();
        for (node, set) in self.client.attend(work).await? {
            let rows = set.texts();
            let rows = rows.map_err(|error| Failure::of_node(node, error.into()))?;
            let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
            let row = |row: Vec<Option<Vec<u8>>>| row.into_iter().map(|it| it.map(text)).collect();
            answers.push((node, rows.into_iter().map(row).collect()));
        }
        let mut ids = HashMap::new();
        if kind == Kind::Tables {
            let numbered = tables.iter().filter(|table| table.auto_increment.is_some());
            let name = |table: &std::sync::Arc<crate::catalogue::Table>| {
                (table.schema.clone(), table.name.clone())
            };
            let numbered: Vec<_> = numbered.map(name).collect();
            ids = self.instance.ids().next(&self.instance, &numbered).await?;
        }
        Ok(fold(kind, &tables, &answers, &ids))
    }
}

/// The names of columns, out of their definitions.
fn names(definitions: &[Vec<u8>]) -> Vec<String> {
    let name = |definition: &Vec<u8>| {
        let name = column_name(definition).unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    };
    definitions.iter().map(name).collect()
}
