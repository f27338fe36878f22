//! What listings and details of instances show, read with as few statements as possible.

use openpeta_types::{AccountId, ChargeType, DbName, InstanceId, ObjectStatus};

use crate::column::Columns;
use crate::{Database, Endpoint, Instance, Reader, StoreError, endpoints, instances};

/// An instance in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSummary {
    /// The instance.
    pub instance: Instance,
    /// Its default endpoint, once it has one.
    pub endpoint: Option<Endpoint>,
    /// Its databases, by name.
    pub databases: Vec<DatabaseSummary>,
}

/// A database in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSummary {
    /// Its name.
    pub db_name: DbName,
    /// Its billing mode.
    pub charge_type: ChargeType,
}

/// An instance with all that belongs to its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceDetail {
    /// The instance.
    pub instance: Instance,
    /// Its endpoints, in the order of [`Reader::endpoints_of`].
    pub endpoints: Vec<Endpoint>,
    /// Its databases, by name.
    pub databases: Vec<Database>,
}

/// Which instances to list; all that is `None` does not matter.
#[derive(Clone, Copy, Default)]
pub struct InstanceFilter<'a> {
    /// Only this one.
    pub instance_id: Option<&'a InstanceId>,
    /// In this status.
    pub status: Option<ObjectStatus>,
    /// With at least one database of this billing mode.
    pub charge_type: Option<ChargeType>,
    /// Those that the caller may see, by id and region. It must not use the store.
    pub allowed: Option<&'a AllowList<'a>>,
}

/// Tells whether an instance, given by id and region, may be seen.
pub type AllowList<'a> = dyn Fn(&InstanceId, &str) -> bool + 'a;

impl InstanceFilter<'_> {
    /// Whether everything passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.instance_id.is_none()
            && self.status.is_none()
            && self.charge_type.is_none()
            && self.allowed.is_none()
    }
}

impl Reader<'_> {
    /// How many of a tenant's instances pass the filter, and `limit` of them from `offset` on,
    /// newest first. While another thread deletes instances a page may come out shorter.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn instance_page(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        offset: u64,
        limit: usize,
    ) -> Result<(u64, Vec<InstanceSummary>), StoreError> {
        let (total, rows) = self.select_instances(account_id, filter, offset, limit)?;
        Ok((total, self.instance_summaries(&rows)?))
    }

    /// An instance with endpoints and databases, whoever owns it.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn instance_detail(
        &self,
        instance_id: &InstanceId,
    ) -> Result<Option<InstanceDetail>, StoreError> {
        let Some(instance) = self.instance(instance_id)? else {
            return Ok(None);
        };
        Ok(Some(InstanceDetail {
            instance,
            endpoints: self.endpoints_of(instance_id)?,
            databases: self.databases(instance_id)?,
        }))
    }

    /// Summaries of the instances with these row keys, in their order: two statements, however
    /// many they are.
    fn instance_summaries(&self, rows: &[i64]) -> Result<Vec<InstanceSummary>, StoreError> {
        let keys = format!("{rows:?}");
        let mut summaries = self.all(
            "instances",
            concat!(
                "SELECT ",
                instances::columns!(),
                ", ",
                endpoints::columns!(),
                " FROM json_each(?) page CROSS JOIN instances i ON i.seq = page.value
                  LEFT JOIN endpoints e ON e.instance_id = i.instance_id
                  AND e.endpoint_type <> 'PUBLIC' AND e.expires_at IS NULL"
            ),
            [&keys],
            |columns| {
                let instance = instances::read(columns)?;
                let endpoint = match columns.peek_null()? {
                    true => None,
                    false => Some(endpoints::read(columns)?),
                };
                Ok(InstanceSummary {
                    instance,
                    endpoint,
                    databases: Vec::new(),
                })
            },
        )?;
        // Rows of one instance come together, instances in the order of the summaries.
        let mut place = 0;
        let databases = self.all(
            "databases",
            "SELECT d.instance_id, d.db_name, d.charge_type
             FROM json_each(?) page CROSS JOIN instances i ON i.seq = page.value
             CROSS JOIN databases d ON d.instance_id = i.instance_id",
            [&keys],
            |columns: &mut Columns<'_, '_>| {
                let instance_id: InstanceId = columns.get()?;
                let database = DatabaseSummary {
                    db_name: columns.get()?,
                    charge_type: columns.get()?,
                };
                Ok((instance_id, database))
            },
        )?;
        for (instance_id, database) in databases {
            while summaries[place].instance.instance_id != instance_id {
                place += 1;
            }
            summaries[place].databases.push(database);
        }
        Ok(summaries)
    }
}
