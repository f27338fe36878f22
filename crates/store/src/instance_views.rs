//! What listings and descriptions of instances show, and which of them a listing has.

use openpeta_types::{
    AccountId, ChargeType, EndpointType, InstanceId, ObjectStatus, Tag, TagFilter,
};

use std::sync::Arc;

use crate::{
    Database, Endpoint, EndpointState, Instance, Reader, ReplacedContent, Store, StoreError,
    VisibleInstances,
};

/// An instance with all that belongs to its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceDetail {
    /// The instance.
    pub instance: Instance,
    /// Its endpoints that clients are told of: the ACTIVE ones, in the order of
    /// [`Reader::endpoints_of`].
    pub endpoints: Vec<Endpoint>,
    /// Its databases, by name.
    pub databases: Vec<Database>,
    /// Its tags, by key.
    pub tags: Vec<Tag>,
    /// That it holds what another one served before, if it does.
    pub replaced: Option<ReplacedContent>,
}

impl InstanceDetail {
    /// The endpoint that listings show: neither public nor on its way out.
    #[must_use]
    pub fn default_endpoint(&self) -> Option<&Endpoint> {
        let is_default = |endpoint: &&Endpoint| {
            endpoint.endpoint_type != EndpointType::Public && endpoint.expires_at.is_none()
        };
        self.endpoints.iter().find(is_default)
    }
}

/// Which instances to list; all that is `None` does not matter.
#[derive(Clone, Copy, Default)]
pub struct InstanceFilter<'a> {
    /// Only this one.
    pub instance_id: Option<&'a InstanceId>,
    /// In this region.
    pub region: Option<&'a str>,
    /// In this status.
    pub status: Option<ObjectStatus>,
    /// With at least one database of this billing mode.
    pub charge_type: Option<ChargeType>,
    /// With a tag like each of these.
    pub tags: &'a [TagFilter],
    /// With any tag at all.
    pub is_tagged: bool,
    /// Those that the caller may see. Cheap when the same one comes with each listing.
    pub visible: Option<&'a VisibleInstances>,
}

impl InstanceFilter<'_> {
    /// Whether everything passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.instance_id.is_none()
            && self.region.is_none()
            && self.status.is_none()
            && self.charge_type.is_none()
            && self.tags.is_empty()
            && !self.is_tagged
            && self.visible.is_none()
    }

    /// Whether an instance passes. Cheap conditions first: what is visible may have to be looked
    /// up in policies.
    pub(crate) fn passes(&self, detail: &InstanceDetail) -> bool {
        let instance = &detail.instance;
        let charged = |mode| {
            let mut databases = detail.databases.iter();
            databases.any(|database| database.charge_type == mode)
        };
        self.status.is_none_or(|status| instance.status == status)
            && self.charge_type.is_none_or(charged)
            && self
                .instance_id
                .is_none_or(|id| instance.instance_id == *id)
            && self
                .region
                .is_none_or(|region| instance.region_id == region)
            && (!self.is_tagged || !detail.tags.is_empty())
            && self.tags.iter().all(|tag| tag.passes(&detail.tags))
            && self
                .visible
                .is_none_or(|visible| visible.allows(&instance.instance_id, &instance.region_id))
    }
}

/// A page of a listing, and how many instances the listing has in all.
pub type InstancePage = (u64, Vec<Arc<InstanceDetail>>);

/// A page of a listing of databases, each with its instance and its place among that one's
/// databases, and how many the listing has in all.
pub type DatabasePage = (u64, Vec<(Arc<InstanceDetail>, usize)>);

impl Store {
    /// How many databases a tenant has in instances that pass the filter, themselves of its
    /// billing mode, and `limit` of them from `offset` on: those of the newest instance first, by
    /// name. As of the last commit; from memory.
    #[must_use]
    pub fn database_page(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        offset: u64,
        limit: usize,
    ) -> DatabasePage {
        self.index().databases(account_id, filter, offset, limit)
    }

    /// How many of a tenant's instances pass the filter, and `limit` of them from `offset` on,
    /// newest first, as of the last commit. From memory.
    #[must_use]
    pub fn instance_page(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        offset: u64,
        limit: usize,
    ) -> InstancePage {
        self.index().page(account_id, filter, offset, limit)
    }

    /// The newest `limit` of a tenant's instances that pass the filter and come after the place
    /// `after` in the order of listings; the place of the last, when there are more. From memory.
    #[must_use]
    pub fn instances_after(
        &self,
        account_id: AccountId,
        filter: &InstanceFilter<'_>,
        after: Option<i64>,
        limit: usize,
    ) -> (Vec<Arc<InstanceDetail>>, Option<i64>) {
        self.index().after(account_id, filter, after, limit)
    }

    /// The instances of a tenant with an endpoint as asked for, oldest first, as of the last
    /// commit. From memory.
    #[must_use]
    pub fn instances_with_endpoint(
        &self,
        account_id: AccountId,
        wanted: impl Fn(&Endpoint) -> bool,
    ) -> Vec<Arc<InstanceDetail>> {
        self.index().with_endpoint(account_id, wanted)
    }

    /// An instance with endpoints and databases, whoever owns it, as of the last commit. From
    /// memory.
    #[must_use]
    pub fn instance_detail(&self, instance_id: &InstanceId) -> Option<Arc<InstanceDetail>> {
        self.index().detail(instance_id)
    }
}

impl Reader<'_> {
    /// An instance with endpoints and databases, whoever owns it, as this transaction sees it.
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
        let mut endpoints = self.endpoints_of(instance_id)?;
        endpoints.retain(|endpoint| endpoint.state == EndpointState::Active);
        Ok(Some(InstanceDetail {
            instance,
            endpoints,
            databases: self.databases(instance_id)?,
            tags: self.tags(instance_id)?,
            replaced: self.replaced_content(instance_id)?,
        }))
    }
}
