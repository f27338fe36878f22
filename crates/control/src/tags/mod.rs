//! Tags of instances: TagResources, UntagResources, ListTagResources.

mod page_token;
#[cfg(test)]
mod tests;

use openpeta_rpc_api::tags::{
    ListTagResourcesRequest, ListTagResourcesResponse, TagResource, TagResourcesRequest,
    TagsToRemove, UntagResourcesRequest,
};
use openpeta_rpc_api::{Action, ApiError, EmptyResponse, MAX_TAGS};
use openpeta_store::{InstanceDetail, InstanceFilter, Reader};
use openpeta_types::{InstanceId, TagFilter};

use crate::{Caller, Control, ControlError, MutatingCall, audit};
use page_token::{PageTokens, Question};

/// Instances whose tags are on one page of a list.
const INSTANCES_PER_PAGE: usize = 50;

impl Control {
    /// TagResources: puts tags on instances, on all of them or on none.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`, `QuotaExceeded.Tag`,
    /// `Forbidden.RAM`.
    pub fn tag_resources(
        &self,
        call: &MutatingCall,
        request: &TagResourcesRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let ids = &request.resource_ids;
        self.parts.store.write(|writer| {
            self.check_resources(writer, call, &request.region_id, ids)?;
            for id in ids {
                for tag in &request.tags {
                    writer.put_tag(id, tag)?;
                }
                if writer.tags(id)?.len() > MAX_TAGS {
                    let detail = format!("{id} would have more than {MAX_TAGS}.");
                    return Err(ApiError::tag_quota_exceeded().with_detail(&detail).into());
                }
            }
            audit::record(writer, call, only(ids), None)
        })?;
        Ok(EmptyResponse)
    }

    /// UntagResources: takes tags off instances.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`, `Forbidden.RAM`.
    pub fn untag_resources(
        &self,
        call: &MutatingCall,
        request: &UntagResourcesRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let ids = &request.resource_ids;
        self.parts.store.write(|writer| {
            self.check_resources(writer, call, &request.region_id, ids)?;
            for id in ids {
                match &request.tags {
                    TagsToRemove::All => writer.delete_tags(id)?,
                    TagsToRemove::Keys(keys) => {
                        for key in keys {
                            writer.delete_tag(id, key)?;
                        }
                    }
                }
            }
            audit::record(writer, call, only(ids), None)
        })?;
        Ok(EmptyResponse)
    }

    /// ListTagResources: tags of the instances that are named, or of all that the caller may
    /// see.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound` and `Forbidden.RAM` for instances that are named;
    /// `Forbidden.RAM` also when no policy allows the action on anything;
    /// `InvalidNextToken.Malformed`.
    pub fn list_tag_resources(
        &self,
        caller: &Caller,
        request: &ListTagResourcesRequest,
    ) -> Result<ListTagResourcesResponse, ControlError> {
        let tokens = PageTokens::new(&self.parts.store);
        let question = Question::of(caller, request);
        let after = match &request.next_token {
            Some(token) => Some(tokens.open(&question, token)?),
            None => None,
        };
        if !request.resource_ids.is_empty() {
            return self.list_tags_of(caller, request);
        }
        let permission = self.permission(caller, Action::ListTagResources)?;
        let filter = InstanceFilter {
            region: Some(&request.region_id),
            tags: &request.tags,
            is_tagged: true,
            visible: permission.for_instances()?,
            ..InstanceFilter::default()
        };
        let (instances, last) =
            self.parts
                .store
                .instances_after(caller.account_id, &filter, after, INSTANCES_PER_PAGE);
        let mut response = ListTagResourcesResponse {
            next_token: last.map(|place| tokens.seal(&question, place)),
            tag_resources: Vec::new(),
        };
        for detail in instances {
            add_tags(&mut response, &detail, &request.tags);
        }
        Ok(response)
    }

    /// The tags of named instances; they fit one page.
    fn list_tags_of(
        &self,
        caller: &Caller,
        request: &ListTagResourcesRequest,
    ) -> Result<ListTagResourcesResponse, ControlError> {
        let mut response = ListTagResourcesResponse::default();
        for id in &request.resource_ids {
            let detail = self.detail(caller, Action::ListTagResources, id)?;
            check_region(&detail.instance.region_id, &request.region_id)?;
            if request.tags.iter().all(|tag| tag.passes(&detail.tags)) {
                add_tags(&mut response, &detail, &request.tags);
            }
        }
        Ok(response)
    }

    /// Whether the caller may change all these instances, and they are in the region.
    fn check_resources(
        &self,
        reader: &Reader<'_>,
        call: &MutatingCall,
        region: &str,
        ids: &[InstanceId],
    ) -> Result<(), ControlError> {
        for id in ids {
            let instance = self.active_instance(reader, &call.caller, call.action, id)?;
            check_region(&instance.region_id, region)?;
        }
        Ok(())
    }
}

/// In another region an instance does not exist.
fn check_region(region: &str, wanted: &str) -> Result<(), ControlError> {
    if region == wanted {
        return Ok(());
    }
    Err(ApiError::instance_not_found().into())
}

/// The instance for the audit row, when there is no other; the parameters have them all.
fn only(ids: &[InstanceId]) -> Option<&InstanceId> {
    match ids {
        [id] => Some(id),
        _ => None,
    }
}

/// The tags of an instance, or those of them that were asked for.
fn add_tags(
    response: &mut ListTagResourcesResponse,
    detail: &InstanceDetail,
    asked_for: &[TagFilter],
) {
    for tag in &detail.tags {
        if asked_for.is_empty() || asked_for.iter().any(|asked| asked.key == tag.key) {
            response.tag_resources.push(TagResource {
                resource_id: detail.instance.instance_id.clone(),
                tag: tag.clone(),
            });
        }
    }
}
