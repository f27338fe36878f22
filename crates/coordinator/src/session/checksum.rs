//! `CHECKSUM TABLE` over nodes.

use std::collections::HashMap;

use openpeta_mysql_wire::put_lenenc_bytes;

use super::copy::Copied;
use super::{Failure, Session};
use crate::gather::ask_at_once;
use crate::node::{Reply, ResultSet};
use crate::plan::checksum::{ChecksumPlan, Named};

/// The checksum of a table, as far as it is known; `None` once some node has none.
type Sum = Option<u32>;

impl Session {
    /// Tells the checksums of tables, those of distributed ones as of one moment; by the binary protocol if
    /// the statement was prepared.
    pub(super) async fn checksum(
        &mut self,
        plan: &ChecksumPlan,
        prepared: bool,
        more: bool,
    ) -> Result<Copied, Failure> {
        let questions = plan.questions(&self.instance.topology());
        let in_transaction = self.nodes.transaction().is_some();
        let work = ask_at_once(&mut self.nodes, &questions, in_transaction);
        let answers = self.client.attend(work).await?;
        let mut columns = Vec::new();
        let mut sums: HashMap<Vec<u8>, Sum> = HashMap::new();
        for (node, set) in answers {
            let failed =
                |error: openpeta_mysql_wire::WireError| Failure::of_node(node, error.into());
            for row in set.texts().map_err(failed)? {
                let (name, value) = cells(row);
                let all = sums.entry(name).or_insert(Some(0));
                *all = all.zip(value).map(|(all, value)| all.wrapping_add(value));
            }
            columns = set.columns;
        }
        let mut warnings = 0;
        // Last of all, so that home knows what it has warned of.
        match plan.at_home() {
            None => self.diagnostics = Some(Vec::new()),
            Some(question) => {
                let set = self.ask_home(&question).await?;
                warnings = set.warnings;
                let rows = set.texts().map_err(|error| Failure::Home(error.into()))?;
                sums.extend(rows.into_iter().map(cells));
                self.diagnostics = None;
            }
        }
        let row = |table: &Named| {
            let shown = table.shown.as_bytes();
            let sum = sums.get(shown).copied().flatten();
            match prepared {
                true => binary_row(shown, sum),
                false => text_row(shown, sum),
            }
        };
        let set = ResultSet {
            rows: plan.tables.iter().map(row).collect(),
            columns,
            warnings,
            ..ResultSet::default()
        };
        let status = self.status(more);
        self.client.rows(&set, status).await?;
        Ok(Copied {
            warnings,
            ..Copied::default()
        })
    }

    async fn ask_home(&mut self, question: &[u8]) -> Result<ResultSet, Failure> {
        let home = self.nodes.home();
        let work = async { home.query(question).await.map_err(Failure::Home) };
        match self.client.attend(work).await?.ok()? {
            Reply::Rows(set) => Ok(set),
            _ => Ok(ResultSet::default()),
        }
    }
}

/// The name of a table, and its checksum.
fn cells(row: Vec<Option<Vec<u8>>>) -> (Vec<u8>, Sum) {
    let mut row = row.into_iter();
    let name = row.next().flatten().unwrap_or_default();
    let value = row.next().flatten();
    let value = value.and_then(|value| std::str::from_utf8(&value).ok()?.parse::<u64>().ok());
    // It is one of 32 bits.
    (name, value.and_then(|value| u32::try_from(value).ok()))
}

fn text_row(name: &[u8], sum: Sum) -> Vec<u8> {
    let mut row = Vec::new();
    put_lenenc_bytes(&mut row, name);
    match sum {
        Some(sum) => put_lenenc_bytes(&mut row, sum.to_string().as_bytes()),
        None => row.push(0xFB),
    }
    row
}

fn binary_row(name: &[u8], sum: Sum) -> Vec<u8> {
    // The second column's bit is behind the first one's and two that mean nothing.
    let mut row = vec![0, if sum.is_none() { 1 << 3 } else { 0 }];
    put_lenenc_bytes(&mut row, name);
    row.extend(sum.iter().flat_map(|sum| u64::from(*sum).to_le_bytes()));
    row
}
