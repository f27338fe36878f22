//! The instances of each tenant in memory, in the order of listings.
//!
//! It answers how many instances pass a filter and which rows a page has. SQL would count and
//! skip rows for that, which at 10,000 instances costs more than the page itself.

use std::collections::HashMap;

use openpeta_types::{AccountId, ChargeType, InstanceId, ObjectStatus};

use crate::column::{Columns, P};
use crate::{InstanceFilter, Reader, StoreError};

const TABLE: &str = "instances";

/// The columns that [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "i.account_id, i.seq, i.instance_id, i.region_id, i.status, \
         EXISTS (SELECT 1 FROM databases d \
                 WHERE d.instance_id = i.instance_id AND d.charge_type = 'PrePaid'), \
         EXISTS (SELECT 1 FROM databases d \
                 WHERE d.instance_id = i.instance_id AND d.charge_type = 'PostPaid')"
    };
}

/// What filters look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Primary key of the row, ascending in time.
    seq: i64,
    instance_id: InstanceId,
    region_id: Box<str>,
    status: ObjectStatus,
    /// Whether it has a database of that billing mode.
    prepaid: bool,
    postpaid: bool,
}

/// All instances by tenant, each tenant's oldest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InstanceIndex {
    tenants: HashMap<AccountId, Vec<Entry>>,
    places: HashMap<InstanceId, (AccountId, i64)>,
}

/// What a transaction made of an instance: its entry now, or none.
pub(crate) type Refreshed = (InstanceId, Option<(AccountId, Entry)>);

impl InstanceIndex {
    /// Reads all instances.
    pub(crate) fn load(reader: &Reader<'_>) -> Result<Self, StoreError> {
        let entries = reader.all(
            TABLE,
            concat!("SELECT ", columns!(), " FROM instances i ORDER BY i.seq"),
            [],
            read,
        )?;
        let mut index = Self::default();
        for (account_id, entry) in entries {
            index.put(account_id, entry);
        }
        Ok(index)
    }

    /// Takes over what a transaction changed.
    pub(crate) fn apply(&mut self, refreshed: Vec<Refreshed>) {
        for (instance_id, now) in refreshed {
            match now {
                Some((account_id, entry)) => self.put(account_id, entry),
                None => self.remove(&instance_id),
            }
        }
    }

    /// The instances of a tenant, oldest first.
    fn entries(&self, account_id: AccountId) -> &[Entry] {
        self.tenants.get(&account_id).map_or(&[], Vec::as_slice)
    }

    fn put(&mut self, account_id: AccountId, entry: Entry) {
        let place = (account_id, entry.seq);
        // An id that was deleted and inserted again in one transaction has another row now.
        if self.places.get(&entry.instance_id) != Some(&place) {
            self.remove(&entry.instance_id);
            self.places.insert(entry.instance_id.clone(), place);
        }
        put_in_order(self.tenants.entry(account_id).or_default(), entry);
    }

    fn remove(&mut self, instance_id: &InstanceId) {
        let Some((account_id, seq)) = self.places.remove(instance_id) else {
            return;
        };
        if let Some(entries) = self.tenants.get_mut(&account_id)
            && let Ok(place) = entries.binary_search_by_key(&seq, |entry| entry.seq)
        {
            entries.remove(place);
        }
    }
}

fn put_in_order(entries: &mut Vec<Entry>, entry: Entry) {
    match entries.binary_search_by_key(&entry.seq, |known| known.seq) {
        Ok(place) => entries[place] = entry,
        Err(place) => entries.insert(place, entry),
    }
}

/// How many of the entries pass the filter, and the row keys of the page, newest first.
fn select(
    entries: &[Entry],
    filter: &InstanceFilter<'_>,
    offset: u64,
    limit: usize,
) -> (u64, Vec<i64>) {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let newest_first = entries.iter().rev();
    if filter.is_empty() {
        let page = newest_first.skip(offset).take(limit);
        return (entries.len() as u64, page.map(|entry| entry.seq).collect());
    }
    let mut total = 0;
    let mut page = Vec::with_capacity(limit);
    for entry in newest_first.filter(|entry| passes(entry, filter)) {
        if total >= offset && page.len() < limit {
            page.push(entry.seq);
        }
        total += 1;
    }
    (total as u64, page)
}

/// Cheap conditions first: the allow-list may have to read a policy.
fn passes(entry: &Entry, filter: &InstanceFilter<'_>) -> bool {
    let charged = |mode| match mode {
        ChargeType::PrePaid => entry.prepaid,
        ChargeType::PostPaid => entry.postpaid,
    };
    filter.status.is_none_or(|status| entry.status == status)
        && filter.charge_type.is_none_or(charged)
        && filter.instance_id.is_none_or(|id| entry.instance_id == *id)
        && filter
            .allowed
            .is_none_or(|allowed| allowed(&entry.instance_id, &entry.region_id))
}

fn read(columns: &mut Columns<'_, '_>) -> Result<(AccountId, Entry), StoreError> {
    let account_id = columns.get()?;
    let entry = Entry {
        seq: columns.get()?,
        instance_id: columns.get()?,
        region_id: columns.get::<String>()?.into(),
        status: columns.get()?,
        prepaid: columns.get()?,
        postpaid: columns.get()?,
    };
    Ok((account_id, entry))
}

impl Reader<'_> {
    /// The entries of all instances that this transaction touched, as it leaves them.
    pub(crate) fn refreshed_instances(&self) -> Result<Vec<Refreshed>, StoreError> {
        let touched = self.touched.borrow();
        let refresh = |instance_id: &InstanceId| {
            let now = self.one(
                TABLE,
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM instances i WHERE i.instance_id = ?"
                ),
                [P(instance_id)],
                read,
            )?;
            Ok((instance_id.clone(), now))
        };
        touched.instances.iter().map(refresh).collect()
    }

    /// Total and row keys of a page of a tenant's instances, this transaction's changes
    /// included.
    pub(crate) fn select_instances(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        offset: u64,
        limit: usize,
    ) -> Result<(u64, Vec<i64>), StoreError> {
        let refreshed = self.refreshed_instances()?;
        let index = self.shared.index();
        let committed = index.entries(account_id);
        if refreshed.is_empty() {
            return Ok(select(committed, filter, offset, limit));
        }
        let mut entries = committed.to_vec();
        for (instance_id, now) in refreshed {
            entries.retain(|entry| entry.instance_id != instance_id);
            if let Some((owner, entry)) = now
                && owner == account_id
            {
                put_in_order(&mut entries, entry);
            }
        }
        Ok(select(&entries, filter, offset, limit))
    }

    /// How many instances a tenant has, this transaction's changes included.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn instance_count(&self, account_id: AccountId) -> Result<u64, StoreError> {
        let (total, _) = self.select_instances(account_id, &InstanceFilter::default(), 0, 0)?;
        Ok(total)
    }
}
