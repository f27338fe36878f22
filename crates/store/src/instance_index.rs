//! The instances of each tenant in memory, in the order of listings, with all that their
//! descriptions show.
//!
//! Listings and descriptions are most of what clients ask for. Out of SQL a page costs several
//! times what the whole rest of the call does, so they come from here; every commit brings the
//! instances that it touched up to date.

use std::collections::HashMap;
use std::sync::Arc;

use openpeta_types::{AccountId, InstanceId};

use crate::column::P;
use crate::instance_views::{DatabasePage, InstancePage};
use crate::{Endpoint, InstanceDetail, InstanceFilter, Reader, StoreError};

const TABLE: &str = "instances";

/// An instance in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Primary key of the row, ascending in time.
    seq: i64,
    detail: Arc<InstanceDetail>,
}

/// All instances by tenant, each tenant's oldest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InstanceIndex {
    tenants: HashMap<AccountId, Vec<Entry>>,
    places: HashMap<InstanceId, (AccountId, i64)>,
}

/// What a transaction made of an instance: its entry now, or none.
pub(crate) type Refreshed = (InstanceId, Option<Entry>);

impl InstanceIndex {
    /// Reads all instances.
    pub(crate) fn load(reader: &Reader<'_>) -> Result<Self, StoreError> {
        let mut index = Self::default();
        for instance in reader.instances()? {
            if let Some(entry) = reader.instance_entry(&instance.instance_id)? {
                index.put(entry);
            }
        }
        Ok(index)
    }

    /// Takes over what a transaction changed.
    pub(crate) fn apply(&mut self, refreshed: Vec<Refreshed>) {
        for (instance_id, now) in refreshed {
            match now {
                Some(entry) => self.put(entry),
                None => self.remove(&instance_id),
            }
        }
    }

    /// A page of a tenant's instances that pass the filter, newest first, and their number.
    pub(crate) fn page(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        offset: u64,
        limit: usize,
    ) -> InstancePage {
        select(self.entries(account_id), filter, offset, limit)
    }

    /// As [`Store::instances_after`](crate::Store::instances_after).
    pub(crate) fn after(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        after: Option<i64>,
        limit: usize,
    ) -> (Vec<Arc<InstanceDetail>>, Option<i64>) {
        let entries = self.entries(account_id);
        let end = after.map_or(entries.len(), |after| {
            entries.partition_point(|entry| entry.seq < after)
        });
        let older = entries[..end].iter().rev();
        let mut passing = older.filter(|entry| filter.passes(&entry.detail));
        let page: Vec<_> = passing.by_ref().take(limit).collect();
        let more = passing.next().is_some();
        let last = page.last().filter(|_| more).map(|entry| entry.seq);
        let details = page.into_iter().map(|entry| Arc::clone(&entry.detail));
        (details.collect(), last)
    }

    /// A page of a tenant's databases in instances that pass the filter, and their number.
    pub(crate) fn databases(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        offset: u64,
        limit: usize,
    ) -> DatabasePage {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = offset.saturating_add(limit);
        let mut total = 0;
        let mut page = Vec::with_capacity(limit);
        let newest_first = self.entries(account_id).iter().rev();
        for detail in newest_first.map(|entry| &entry.detail) {
            if !filter.passes(detail) {
                continue;
            }
            for (place, database) in detail.databases.iter().enumerate() {
                let charge_type = database.charge_type;
                if filter
                    .charge_type
                    .is_some_and(|wanted| wanted != charge_type)
                {
                    continue;
                }
                if (offset..end).contains(&total) {
                    page.push((Arc::clone(detail), place));
                }
                total += 1;
            }
        }
        (total as u64, page)
    }

    /// One instance.
    pub(crate) fn detail(&self, instance_id: &InstanceId) -> Option<Arc<InstanceDetail>> {
        let (account_id, seq) = self.places.get(instance_id)?;
        let entries = self.entries(*account_id);
        let place = entries.binary_search_by_key(seq, |entry| entry.seq).ok()?;
        Some(Arc::clone(&entries[place].detail))
    }

    /// The instances of a tenant with an endpoint as asked for, oldest first.
    pub(crate) fn with_endpoint(
        &self,
        account_id: AccountId,
        wanted: impl Fn(&Endpoint) -> bool,
    ) -> Vec<Arc<InstanceDetail>> {
        let has_it = |entry: &&Entry| entry.detail.endpoints.iter().any(&wanted);
        let found = self.entries(account_id).iter().filter(has_it);
        found.map(|entry| Arc::clone(&entry.detail)).collect()
    }

    /// The instances of a tenant, oldest first.
    fn entries(&self, account_id: AccountId) -> &[Entry] {
        self.tenants.get(&account_id).map_or(&[], Vec::as_slice)
    }

    fn put(&mut self, entry: Entry) {
        let instance = &entry.detail.instance;
        let place = (instance.account_id, entry.seq);
        // An id that was deleted and inserted again in one transaction has another row now.
        if self.places.get(&instance.instance_id) != Some(&place) {
            let instance_id = instance.instance_id.clone();
            self.remove(&instance_id);
            self.places.insert(instance_id, place);
        }
        put_in_order(self.tenants.entry(place.0).or_default(), entry);
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

fn select(
    entries: &[Entry],
    filter: &InstanceFilter<'_>,
    offset: u64,
    limit: usize,
) -> InstancePage {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let newest_first = entries.iter().rev().map(|entry| &entry.detail);
    if filter.is_empty() {
        let page = newest_first.skip(offset).take(limit);
        return (entries.len() as u64, page.cloned().collect());
    }
    let mut total = 0;
    let mut page = Vec::with_capacity(limit);
    for detail in newest_first.filter(|detail| filter.passes(detail)) {
        if total >= offset && page.len() < limit {
            page.push(Arc::clone(detail));
        }
        total += 1;
    }
    (total as u64, page)
}

impl Reader<'_> {
    fn instance_entry(&self, instance_id: &InstanceId) -> Result<Option<Entry>, StoreError> {
        let Some(detail) = self.instance_detail(instance_id)? else {
            return Ok(None);
        };
        let seq = self.one(
            TABLE,
            "SELECT seq FROM instances WHERE instance_id = ?",
            [P(instance_id)],
            |columns| columns.get(),
        )?;
        let detail = Arc::new(detail);
        Ok(seq.map(|seq| Entry { seq, detail }))
    }

    /// The entries of all instances that this transaction touched, as it leaves them.
    pub(crate) fn refreshed_instances(&self) -> Result<Vec<Refreshed>, StoreError> {
        let touched = self.touched.borrow();
        let refresh = |id: &InstanceId| Ok((id.clone(), self.instance_entry(id)?));
        touched.instances.iter().map(refresh).collect()
    }

    /// As [`Store::instance_page`](crate::Store::instance_page), with this transaction's changes.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn instance_page(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        offset: u64,
        limit: usize,
    ) -> Result<InstancePage, StoreError> {
        let refreshed = self.refreshed_instances()?;
        let index = self.shared.index();
        let committed = index.entries(account_id);
        if refreshed.is_empty() {
            return Ok(select(committed, filter, offset, limit));
        }
        let mut entries = committed.to_vec();
        for (instance_id, now) in refreshed {
            entries.retain(|entry| entry.detail.instance.instance_id != instance_id);
            if let Some(entry) = now
                && entry.detail.instance.account_id == account_id
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
        let (total, _) = self.instance_page(account_id, &InstanceFilter::default(), 0, 0)?;
        Ok(total)
    }
}
