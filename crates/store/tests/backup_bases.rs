//! Sets that go on from others: these stay as long.

use crate::common::*;
use openpeta_store::{BackupOutcome, NewBackupSet, StoreError, Writer};
use openpeta_types::{
    BackupId, BackupMethod, BackupMode, BackupStatus, BackupType, ChargeType, ObjectStatus,
};

const DAY: i64 = 86_400;

/// Adds a set that ended at that second.
fn set(
    writer: &Writer<'_>,
    ended: i64,
    base_id: Option<BackupId>,
    status: BackupStatus,
) -> Result<BackupId, StoreError> {
    let set = writer.insert_backup_set(&NewBackupSet {
        account_id: account_id(1),
        instance_id: instance_id(1),
        db_name: db("shop"),
        backup_type: match base_id {
            None => BackupType::Full,
            Some(_) => BackupType::Incremental,
        },
        mode: BackupMode::Manual,
        method: BackupMethod::Physical,
        base_id,
        node_spec: database(1, "shop", ChargeType::PostPaid).node_spec,
        node_number: 1,
        started_at: at(ended - 10),
    })?;
    let outcome = BackupOutcome {
        ended_at: Some(at(ended)),
        ..BackupOutcome::default()
    };
    writer.finish_backup_set(set, status, &outcome)?;
    Ok(set)
}

#[test]
fn a_base_stays_as_long_as_what_goes_on_from_it() {
    use BackupStatus::{Failed, Success};
    let (_directory, store) = open();
    let (full, first, second, failed, other) = write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_instance(&instance(1, 1))?;
        writer.insert_database(&database(1, "shop", ChargeType::PostPaid))?;
        writer.set_instance_status(&instance_id(1), ObjectStatus::Active)?;
        let full = set(writer, DAY, None, Success)?;
        let first = set(writer, 2 * DAY, Some(full), Success)?;
        let second = set(writer, 3 * DAY, Some(first), Success)?;
        let failed = set(writer, 4 * DAY, Some(second), Failed)?;
        let other = set(writer, 5 * DAY, None, Success)?;
        Ok((full, first, second, failed, other))
    });
    let ids = |sets: Result<Vec<openpeta_store::BackupSet>, StoreError>| {
        let sets = sets.expect("the store works");
        sets.iter().map(|set| set.backup_id).collect::<Vec<_>>()
    };
    let expired = |second| ids(store.read(|reader| reader.expired_backups(at(second))));
    let bases = |set| ids(store.read(|reader| reader.backup_bases(set)));
    let dependents = |set| ids(store.read(|reader| reader.dependent_backups(set)));
    assert_eq!(bases(second), [first, full]);
    assert_eq!(bases(full), []);
    assert_eq!(dependents(full), [first, second]);
    assert_eq!(dependents(second), []);
    assert_eq!(dependents(other), []);

    // All but the newest are older than seven days; one after the other they go from the end.
    assert_eq!(expired(10 * DAY + 1), [second]);
    assert_eq!(expired(700 * DAY), [second, failed]);
    write(&store, |writer| writer.protect_backup_set(second, true));
    assert_eq!(expired(700 * DAY), [failed]);
    write(&store, |writer| writer.protect_backup_set(second, false));
    for (gone, next) in [(second, first), (first, full)] {
        write(&store, |writer| writer.delete_backup_set(gone));
        assert_eq!(expired(700 * DAY), [next, failed]);
    }
    // What it went on from is gone: that is told, not guessed.
    assert_eq!(bases(failed), []);
}
