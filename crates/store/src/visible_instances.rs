//! Which instances a caller may see, remembered from one listing to the next.

use std::sync::{Arc, PoisonError, RwLock};

use openpeta_types::InstanceId;

/// Tells which instances a caller may see, and remembers it for those of a tenant.
///
/// To ask about each of many instances on every call costs more than the rest of a listing. So
/// the places of the visible ones are kept until the tenant's instances are others; a listing
/// then touches only what it shows, and knows the number.
pub struct VisibleInstances {
    allows: Box<Rule>,
    remembered: RwLock<Option<Arc<Places>>>,
}

/// Tells of an instance, given by id and region, whether it may be seen.
type Rule = dyn Fn(&InstanceId, &str) -> bool + Send + Sync;

impl VisibleInstances {
    /// Those that `allows` lets through, given id and region. It must always say the same of
    /// the same instance, and must not use the store.
    #[must_use]
    pub fn new(allows: impl Fn(&InstanceId, &str) -> bool + Send + Sync + 'static) -> Self {
        Self {
            allows: Box::new(allows),
            remembered: RwLock::default(),
        }
    }

    /// Whether this one may be seen.
    #[must_use]
    pub fn allows(&self, instance_id: &InstanceId, region: &str) -> bool {
        (self.allows)(instance_id, region)
    }

    /// The places of the visible ones among instances in this state.
    pub(crate) fn places<'i>(
        &self,
        state: &Membership,
        instances: impl Iterator<Item = (&'i InstanceId, &'i str)>,
    ) -> Arc<Places> {
        let known = self.remembered.read();
        let known = known.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(places) = known.filter(|known| known.of == *state) {
            return places;
        }
        let visible = (0_u32..)
            .zip(instances)
            .filter(|(_, (id, region))| self.allows(id, region));
        let places = Arc::new(Places {
            of: state.clone(),
            ascending: visible.map(|(place, _)| place).collect(),
        });
        let remembered = self.remembered.write();
        *remembered.unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&places));
        places
    }
}

/// Places among a tenant's instances in one state of them.
pub(crate) struct Places {
    of: Membership,
    pub(crate) ascending: Box<[u32]>,
}

/// Stands for all that visibility hangs on: which instances a tenant has, in which order and in
/// which regions. Equal to its clones alone, so that a state of another tenant, or one before a
/// change, is never taken for this one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Membership(Arc<()>);

impl PartialEq for Membership {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn each_state_is_asked_about_once() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let visible = VisibleInstances::new(move |id, region| {
            count.fetch_add(1, Ordering::Relaxed);
            id.as_str() != "pd-1" && region == "here"
        });
        let ids = ["pd-0", "pd-1", "pd-2"].map(|id| InstanceId::parse(id).unwrap());
        let places = |state: &Membership, regions: [&str; 3]| {
            let instances = ids.iter().zip(regions);
            visible.places(state, instances).ascending.to_vec()
        };
        let (before, after) = (Membership::default(), Membership::default());
        for _ in 0..3 {
            assert_eq!(places(&before, ["here"; 3]), [0, 2]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        assert_eq!(places(&after, ["here", "here", "there"]), [0]);
        assert_eq!(places(&before, ["here"; 3]), [0, 2]);
        assert_eq!(asked.load(Ordering::Relaxed), 9);
    }
}
