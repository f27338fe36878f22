//! What an account has on a node as a whole, so that another node can be given the same; and the
//! end of what accounts do on a node.

use std::time::Duration;

use openpeta_types::{AccountName, DbName};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::NodeSql;
use super::accounts::refuse_internal;
use super::grants::{Grants, Row};
use super::object_grants::ObjectGrant;
use crate::error::{EngineError, Result};
use crate::quote;

/// How long sessions get to end. The server rolls back what they had changed.
const ENDING: Duration = Duration::from_secs(30);
/// Time between two looks whether they have.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Everything that is granted to an account on a node, however it came by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldByAccount {
    grants: Grants,
    objects: Vec<ObjectGrant>,
}

impl HeldByAccount {
    /// What of it is on one database.
    #[must_use]
    pub fn only_on(mut self, database: &DbName) -> Self {
        let pattern = quote::grant_pattern(database.as_str());
        self.grants.global = Row::default();
        self.grants.databases.retain(|its, _| *its == pattern);
        self.objects
            .retain(|grant| grant.database == database.as_str());
        self
    }
}

impl NodeSql {
    /// What an account has on the server, on databases and on single objects.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn held_by(&mut self, account: &AccountName) -> Result<HeldByAccount> {
        Ok(HeldByAccount {
            grants: self.grants(account).await?,
            objects: self.object_grants(account).await?,
        })
    }

    /// Gives an account this and nothing else. What it names of tables, columns and routines
    /// that are not here is left out.
    ///
    /// The account must exist: the server would make one without a password.
    ///
    /// # Errors
    /// [`EngineError::InternalAccount`], or as with all statements.
    pub async fn set_held(&mut self, account: &AccountName, held: &HeldByAccount) -> Result<()> {
        refuse_internal(account)?;
        let actual = self.grants(account).await?;
        self.change_grants(account, &actual, &held.grants).await?;
        let mut kept = Vec::new();
        for grant in self.object_grants(account).await? {
            if held.objects.contains(&grant) {
                kept.push(grant);
            } else {
                self.revoke_object(account, &grant).await?;
            }
        }
        for grant in held.objects.iter().filter(|grant| !kept.contains(grant)) {
            self.grant_object(account, grant).await?;
        }
        Ok(())
    }

    /// Ends all sessions of the users' accounts, and waits until the server has undone what they
    /// had not committed.
    ///
    /// # Errors
    /// [`EngineError::SqlTimeout`] when some go on, or as with all statements.
    pub async fn end_sessions(&mut self) -> Result<()> {
        let accounts = self.accounts().await?;
        let Some(names) = joined(&accounts) else {
            return Ok(());
        };
        let query =
            format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER IN ({names})");
        let end = Instant::now() + ENDING;
        loop {
            let left: Vec<u64> = self.rows("look for sessions", &query).await?;
            if left == [0] {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(EngineError::SqlTimeout {
                    action: "end sessions",
                    waited: ENDING,
                });
            }
            for account in &accounts {
                self.kill_sessions(account).await?;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn joined(accounts: &[AccountName]) -> Option<String> {
    let quoted = accounts
        .iter()
        .map(|account| quote::string(account.as_str()));
    let quoted: Vec<_> = quoted.collect();
    (!quoted.is_empty()).then(|| quoted.join(", "))
}
