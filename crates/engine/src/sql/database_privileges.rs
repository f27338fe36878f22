//! What one account has on one database: read, replaced, put back.

use openpeta_types::{AccountName, DbName, PrivilegeSet};
use serde::{Deserialize, Serialize};

use super::NodeSql;
use super::accounts::refuse_internal;
use super::grants::{self, Row};
use super::object_grants::ObjectGrant;
use crate::error::Result;
use crate::quote;

/// Everything that an account has on a database and on things in it, however it came by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPrivileges {
    database: Row,
    objects: Vec<ObjectGrant>,
}

impl NodeSql {
    /// What an account has on a database, to be put back later.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn held_privileges(
        &mut self,
        account: &AccountName,
        database: &DbName,
    ) -> Result<HeldPrivileges> {
        let mut grants = self.grants(account).await?;
        let pattern = quote::grant_pattern(database.as_str());
        Ok(HeldPrivileges {
            database: grants.databases.remove(&pattern).unwrap_or_default(),
            objects: self.objects_in(account, database).await?,
        })
    }

    /// Gives an account this set on a database and nothing else there, or nothing at all. What it
    /// has and keeps is not touched, so its sessions never see it missing. Other databases stay
    /// as they are.
    ///
    /// The account must exist: the server would make one without a password.
    ///
    /// # Errors
    /// [`EngineError::InternalAccount`](crate::EngineError::InternalAccount), or as with all
    /// statements.
    pub async fn set_privileges(
        &mut self,
        account: &AccountName,
        database: &DbName,
        set: Option<PrivilegeSet>,
    ) -> Result<()> {
        let row = set.map(grants::row_of).unwrap_or_default();
        let routines_stay = grants::may_create_routines(&row);
        self.change_row(account, database, row).await?;
        for grant in self.objects_in(account, database).await? {
            // Whoever makes a routine gets the rights on it from the server.
            if !(grant.is_routine() && routines_stay) {
                self.revoke_object(account, &grant).await?;
            }
        }
        Ok(())
    }

    /// Gives an account back what it had on a database, and takes what it has gained since. What
    /// was granted on an object that is not there any more is left out.
    ///
    /// # Errors
    /// As with [`set_privileges`](Self::set_privileges).
    pub async fn put_back_privileges(
        &mut self,
        account: &AccountName,
        database: &DbName,
        held: &HeldPrivileges,
    ) -> Result<()> {
        for grant in &held.objects {
            self.grant_object(account, grant).await?;
        }
        self.change_row(account, database, held.database.clone())
            .await?;
        for grant in self.objects_in(account, database).await? {
            if !held.objects.iter().any(|had| had.is_on_same(&grant)) {
                self.revoke_object(account, &grant).await?;
            }
        }
        Ok(())
    }

    async fn change_row(
        &mut self,
        account: &AccountName,
        database: &DbName,
        row: Row,
    ) -> Result<()> {
        refuse_internal(account)?;
        let actual = self.grants(account).await?;
        let mut desired = actual.clone();
        let pattern = quote::grant_pattern(database.as_str());
        if row == Row::default() {
            desired.databases.remove(&pattern);
        } else {
            desired.databases.insert(pattern, row);
        }
        self.change_grants(account, &actual, &desired).await
    }

    async fn objects_in(
        &mut self,
        account: &AccountName,
        database: &DbName,
    ) -> Result<Vec<ObjectGrant>> {
        let mut objects = self.object_grants(account).await?;
        objects.retain(|grant| grant.database == database.as_str());
        Ok(objects)
    }
}
