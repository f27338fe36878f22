//! What a caller sees of a tenant's instances is never remembered too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::*;
use openpeta_store::{InstanceFilter, StoreError, VisibleInstances};
use openpeta_types::{ChargeType, ObjectStatus, Tag, TagKey, TagValue};

/// What a caller sees is asked anew after each change that it hangs on, and after no other.
#[test]
fn what_is_visible_is_remembered_until_it_may_be_another() {
    let (_directory, store) = open();
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_tenant(&tenant(2))?;
        (0..4).try_for_each(|number| writer.insert_instance(&instance(1, number)))
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let caller = VisibleInstances::new(move |id, region| {
        count.fetch_add(1, Ordering::Relaxed);
        sees_even_ones(id, region)
    });
    let filter = InstanceFilter {
        visible: Some(&caller),
        ..InstanceFilter::default()
    };
    let page = |tenant| {
        let (total, rows) = store.instance_page(account_id(tenant), &filter, 0, 10);
        assert_eq!(total, rows.len() as u64);
        let ids = rows.iter().map(|row| row.instance.instance_id.to_string());
        (ids.collect::<Vec<_>>(), asked.swap(0, Ordering::Relaxed))
    };
    let is = |ids: &[&str], asked| (ids.iter().map(ToString::to_string).collect(), asked);
    assert_eq!(page(1), is(&["pd-2", "pd-0"], 4), "the first time");
    assert_eq!(page(1), is(&["pd-2", "pd-0"], 0));
    // What no policy speaks of.
    write(&store, |writer| {
        writer.put_tag(
            &instance_id(2),
            &Tag {
                key: TagKey::parse("team").unwrap(),
                value: TagValue::default(),
            },
        )?;
        writer.set_instance_status(&instance_id(0), ObjectStatus::Modify)?;
        writer.insert_database(&database(2, "a", ChargeType::PostPaid))?;
        writer.insert_instance(&instance(2, 8))
    });
    assert_eq!(page(1), is(&["pd-2", "pd-0"], 0));
    write(&store, |writer| writer.insert_instance(&instance(1, 6)));
    assert_eq!(page(1), is(&["pd-6", "pd-2", "pd-0"], 5), "created");
    write(&store, |writer| move_instance(writer, 2, true));
    assert_eq!(page(1), is(&["pd-6", "pd-0"], 5), "moved away");
    write(&store, |writer| move_instance(writer, 2, false));
    assert_eq!(page(1), is(&["pd-6", "pd-2", "pd-0"], 5), "moved back");
    write(&store, |writer| writer.delete_instance(&instance_id(1)));
    assert_eq!(page(1), is(&["pd-6", "pd-2", "pd-0"], 4), "deleted");
    // As an order that failed and its repetition: another row, the newest now.
    write(&store, |writer| {
        writer.delete_instance(&instance_id(0))?;
        writer.insert_instance(&instance(1, 0))
    });
    assert_eq!(page(1), is(&["pd-0", "pd-6", "pd-2"], 4), "made anew");
    let undone = store.write(|writer| {
        writer.delete_instance(&instance_id(0))?;
        let (total, _) = writer.instance_page(account_id(1), &filter, 0, 10)?;
        assert_eq!(total, 2, "within the transaction");
        Err::<(), _>(StoreError::ReadOnly)
    });
    assert!(undone.is_err());
    asked.store(0, Ordering::Relaxed);
    assert_eq!(page(1), is(&["pd-0", "pd-6", "pd-2"], 0), "undone");
    // Another tenant's are others, whatever is remembered.
    assert_eq!(page(2), is(&["pd-8"], 1));
    assert_eq!(page(1).0, ["pd-0", "pd-6", "pd-2"]);
}
