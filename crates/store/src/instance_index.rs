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
use crate::visible_instances::{Membership, Places};
use crate::{Endpoint, InstanceDetail, InstanceFilter, Reader, StoreError};

const TABLE: &str = "instances";

/// An instance in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Primary key of the row, ascending in time.
    seq: i64,
    detail: Arc<InstanceDetail>,
}

/// All instances by tenant.
#[derive(Debug, Default)]
pub(crate) struct InstanceIndex {
    tenants: HashMap<AccountId, Tenant>,
    places: HashMap<InstanceId, (AccountId, i64)>,
}

/// The instances of a tenant.
#[derive(Debug, Default)]
struct Tenant {
    /// Oldest first.
    entries: Vec<Entry>,
    /// Another one whenever what is visible of the entries, and where, may be another.
    membership: Membership,
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
        let (candidates, filter) = self.candidates(account_id, filter);
        candidates.page(&filter, offset, limit)
    }

    /// As [`Store::instances_after`](crate::Store::instances_after).
    pub(crate) fn after(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        after: Option<i64>,
        limit: usize,
    ) -> (Vec<Arc<InstanceDetail>>, Option<i64>) {
        let (candidates, filter) = self.candidates(account_id, filter);
        let older = candidates.older_than(after);
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
        let (candidates, filter) = self.candidates(account_id, filter);
        for detail in candidates.newest_first().map(|entry| &entry.detail) {
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
        let place = place_of(entries, *seq).ok()?;
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
        let tenant = self.tenants.get(&account_id);
        tenant.map_or(&[], |tenant| &tenant.entries)
    }

    /// The fewest instances of a tenant that are known to include those that pass the filter,
    /// and what of the filter is left to check.
    fn candidates<'a>(
        &'a self,
        account_id: AccountId,
        filter: &InstanceFilter<'a>,
    ) -> (Candidates<'a>, InstanceFilter<'a>) {
        let Some(tenant) = self.tenants.get(&account_id) else {
            return (Candidates::all(&[]), *filter);
        };
        if let Some(instance_id) = filter.instance_id {
            let place = match self.places.get(instance_id) {
                Some((owner, seq)) if *owner == account_id => place_of(&tenant.entries, *seq).ok(),
                _ => None,
            };
            let one = place.map_or(&[][..], |place| &tenant.entries[place..=place]);
            return (Candidates::all(one), *filter);
        }
        let Some(visible) = filter.visible else {
            return (Candidates::all(&tenant.entries), *filter);
        };
        let instances = tenant.entries.iter().map(|entry| &entry.detail.instance);
        let instances = instances.map(|i| (&i.instance_id, i.region_id.as_str()));
        let candidates = Candidates {
            entries: &tenant.entries,
            places: Some(visible.places(&tenant.membership, instances)),
        };
        let visible = None;
        (candidates, InstanceFilter { visible, ..*filter })
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
        let tenant = self.tenants.entry(place.0).or_default();
        if put_in_order(&mut tenant.entries, entry) {
            tenant.membership = Membership::default();
        }
    }

    fn remove(&mut self, instance_id: &InstanceId) {
        let Some((account_id, seq)) = self.places.remove(instance_id) else {
            return;
        };
        if let Some(tenant) = self.tenants.get_mut(&account_id)
            && let Ok(place) = place_of(&tenant.entries, seq)
        {
            tenant.entries.remove(place);
            tenant.membership = Membership::default();
        }
    }
}

fn place_of(entries: &[Entry], seq: i64) -> Result<usize, usize> {
    entries.binary_search_by_key(&seq, |entry| entry.seq)
}

/// Puts an entry in its place; whether that may change what is visible, and where.
fn put_in_order(entries: &mut Vec<Entry>, entry: Entry) -> bool {
    match place_of(entries, entry.seq) {
        Ok(place) => {
            let is_same = |read: fn(&Entry) -> &str| read(&entries[place]) == read(&entry);
            let stays = is_same(|entry| entry.detail.instance.instance_id.as_str())
                && is_same(|entry| &entry.detail.instance.region_id);
            entries[place] = entry;
            !stays
        }
        Err(place) => {
            entries.insert(place, entry);
            true
        }
    }
}

/// Instances of a tenant out of which a listing is made.
struct Candidates<'a> {
    entries: &'a [Entry],
    /// Those of the entries that are meant; `None` for all.
    places: Option<Arc<Places>>,
}

impl<'a> Candidates<'a> {
    fn all(entries: &'a [Entry]) -> Self {
        let places = None;
        Self { entries, places }
    }

    fn newest_first(&self) -> NewestFirst<'_> {
        let places = self.places.as_ref().map(|places| &*places.ascending);
        NewestFirst {
            entries: self.entries,
            places,
            left: places.map_or(self.entries.len(), <[u32]>::len),
        }
    }

    /// Those that come after that place in the order of listings.
    fn older_than(&self, seq: Option<i64>) -> NewestFirst<'_> {
        let all = self.newest_first();
        let Some(seq) = seq else { return all };
        let left = match all.places {
            Some(places) => places.partition_point(|&place| self.entries[place as usize].seq < seq),
            None => self.entries.partition_point(|entry| entry.seq < seq),
        };
        NewestFirst { left, ..all }
    }

    /// A page of those that pass the filter, and their number.
    fn page(&self, filter: &InstanceFilter<'_>, offset: u64, limit: usize) -> InstancePage {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let newest_first = self.newest_first();
        if filter.is_empty() {
            let total = newest_first.len() as u64;
            let page = newest_first.skip(offset).take(limit);
            return (total, page.map(|entry| Arc::clone(&entry.detail)).collect());
        }
        let mut total = 0;
        let mut page = Vec::with_capacity(limit);
        let details = newest_first.map(|entry| &entry.detail);
        for detail in details.filter(|detail| filter.passes(detail)) {
            if total >= offset && page.len() < limit {
                page.push(Arc::clone(detail));
            }
            total += 1;
        }
        (total as u64, page)
    }
}

/// Goes through [`Candidates`], newest first; skips in no time.
struct NewestFirst<'a> {
    entries: &'a [Entry],
    places: Option<&'a [u32]>,
    left: usize,
}

impl<'a> Iterator for NewestFirst<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        self.left = self.left.checked_sub(1)?;
        let place = self.places.map(|places| places[self.left] as usize);
        self.entries.get(place.unwrap_or(self.left))
    }

    fn nth(&mut self, skipped: usize) -> Option<&'a Entry> {
        self.left = self.left.saturating_sub(skipped);
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for NewestFirst<'_> {}

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
        if refreshed.is_empty() {
            return Ok(index.page(account_id, filter, offset, limit));
        }
        let mut entries = index.entries(account_id).to_vec();
        for (instance_id, now) in refreshed {
            entries.retain(|entry| entry.detail.instance.instance_id != instance_id);
            if let Some(entry) = now
                && entry.detail.instance.account_id == account_id
            {
                put_in_order(&mut entries, entry);
            }
        }
        Ok(Candidates::all(&entries).page(filter, offset, limit))
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
