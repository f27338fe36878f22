//! Backup policies and sets: what is listed, what goes with what, what expires.

use crate::common::*;
use openpeta_store::{
    BackupOutcome, BackupPolicy, BackupSetFilter, NewBackupSet, ScheduledDatabase, StoreError,
    Verification, Writer,
};
use openpeta_types::{
    BackupMethod, BackupMode, BackupPeriod, BackupStatus, BackupType, BackupWindow, ChargeType,
    ObjectStatus, RetentionDays,
};

#[test]
fn backup_policies_go_with_their_database() {
    let (_directory, store) = with_instance();
    let (id, name) = (instance_id(1), db("shop"));
    let policy = BackupPolicy {
        is_binlog_enabled: true,
        period: BackupPeriod::parse("Friday,Monday").unwrap(),
        window: BackupWindow::parse("01:00Z-02:30Z").unwrap(),
        retention: RetentionDays::new(30).unwrap(),
        effective_at: at(7),
    };
    assert!(matches!(
        refused(&store, |writer| writer
            .put_backup_policy(&id, &name, &policy)),
        StoreError::Conflict { .. }
    ));
    let read = || store.read(|reader| reader.backup_policy(&id, &name));
    write(&store, |writer| {
        writer.insert_database(&database(1, "shop", ChargeType::PostPaid))?;
        writer.put_backup_policy(&id, &name, &BackupPolicy::default())?;
        writer.put_backup_policy(&id, &name, &policy)
    });
    assert_eq!(read().unwrap(), Some(policy));
    let scheduled = || store.read(|reader| reader.scheduled_databases()).unwrap();
    write(&store, |writer| {
        writer.set_database_status(&id, &name, ObjectStatus::Modify)
    });
    assert_eq!(scheduled(), []);
    write(&store, |writer| {
        writer.set_instance_status(&id, ObjectStatus::Active)?;
        writer.set_database_status(&id, &name, ObjectStatus::Active)
    });
    let expected = ScheduledDatabase {
        instance_id: id.clone(),
        db_name: name.clone(),
        policy,
    };
    assert_eq!(scheduled(), [expected]);
    let never = BackupPolicy {
        period: BackupPeriod::default(),
        ..policy
    };
    write(&store, |writer| {
        writer.put_backup_policy(&id, &name, &never)
    });
    assert_eq!(scheduled(), []);
    write(&store, |writer| writer.delete_database(&id, &name));
    assert_eq!(read().unwrap(), None);
}

#[test]
fn backup_sets_are_listed_newest_first_and_go_with_their_database() {
    let (_directory, store) = with_instance();
    let (id, name) = (instance_id(1), db("shop"));
    let new = |second, mode| NewBackupSet {
        account_id: account_id(1),
        instance_id: id.clone(),
        db_name: name.clone(),
        backup_type: BackupType::Full,
        mode,
        method: BackupMethod::Logical,
        base_id: None,
        node_spec: database(1, "shop", ChargeType::PostPaid).node_spec,
        node_number: 1,
        started_at: at(second),
    };
    assert!(matches!(
        refused(&store, |writer| writer
            .insert_backup_set(&new(0, BackupMode::Manual))),
        StoreError::Conflict { .. }
    ));
    let whole = BackupOutcome {
        size_bytes: 1_000,
        manifest_sha256: Some("ab".into()),
        failure: None,
        ended_at: Some(at(5)),
        key_id: Some("cd".into()),
    };
    let (first, second) = write(&store, |writer| {
        writer.insert_database(&database(1, "shop", ChargeType::PostPaid))?;
        let first = writer.insert_backup_set(&new(1, BackupMode::Manual))?;
        let second = writer.insert_backup_set(&new(2, BackupMode::Automated))?;
        writer.finish_backup_set(first, BackupStatus::Success, &whole)?;
        Ok((first, second))
    });
    assert!(second > first && first.number() > 100_000);
    let totals = store.read(|reader| reader.backup_totals()).unwrap();
    let totals: Vec<_> = totals
        .iter()
        .map(|total| (total.status, total.count, total.bytes, total.latest))
        .collect();
    assert_eq!(
        totals,
        [
            (BackupStatus::Progress, 1, 0, at(2)),
            (BackupStatus::Success, 1, 1_000, at(1))
        ]
    );
    let all = BackupSetFilter {
        instance_id: &id,
        db_name: &name,
        from: at(0),
        to: at(9),
        status: None,
        mode: None,
        backup_id: None,
    };
    let listed = |filter: &BackupSetFilter<'_>| {
        let page = store.read(|reader| reader.backup_set_page(filter, 0, 30));
        let page = page.unwrap();
        let ids: Vec<_> = page.sets.iter().map(|set| set.backup_id).collect();
        (page.total, page.total_bytes, ids)
    };
    assert_eq!(listed(&all), (2, 1_000, vec![second, first]));
    let mut one = all.clone();
    one.status = Some(BackupStatus::Success);
    assert_eq!(listed(&one), (1, 1_000, vec![first]));
    let mut one = all.clone();
    one.mode = Some(BackupMode::Automated);
    assert_eq!(listed(&one), (1, 0, vec![second]));
    let mut one = all.clone();
    one.to = at(1);
    one.backup_id = Some(second);
    assert_eq!(listed(&one), (0, 0, vec![]));
    store
        .read(|reader| {
            let set = reader.backup_set(first)?.unwrap();
            assert_eq!((set.status, set.outcome), (BackupStatus::Success, whole));
            let running = reader.running_backups(&id)?;
            assert_eq!(running[0].backup_id, second);
            assert_eq!(running[0].set, new(2, BackupMode::Automated));
            assert_eq!(
                reader.backup_set_ids()?,
                [(id.clone(), first), (id.clone(), second)]
            );
            Ok::<_, StoreError>(())
        })
        .unwrap();
    write(&store, |writer| {
        writer.delete_database(&id, &name)?;
        writer.finish_backup_set(second, BackupStatus::Failed, &BackupOutcome::default())
    });
    let left = store.read(|reader| reader.backup_set_ids());
    assert_eq!(left.unwrap(), []);
}

#[test]
fn sets_expire_but_for_the_newest_whole_one_and_protected_ones() {
    let (_directory, store) = with_instance();
    let (id, name) = (instance_id(1), db("shop"));
    let day = 86_400;
    use BackupStatus::{Failed, Progress, Success};
    let whole = |writer: &Writer<'_>, ended, status| {
        let set = writer.insert_backup_set(&NewBackupSet {
            account_id: account_id(1),
            instance_id: id.clone(),
            db_name: name.clone(),
            backup_type: BackupType::Full,
            mode: BackupMode::Automated,
            method: BackupMethod::Logical,
            base_id: None,
            node_spec: database(1, "shop", ChargeType::PostPaid).node_spec,
            node_number: 1,
            started_at: at(ended - 10),
        })?;
        let outcome = BackupOutcome {
            ended_at: Some(at(ended)),
            ..BackupOutcome::default()
        };
        if status != Progress {
            writer.finish_backup_set(set, status, &outcome)?;
        }
        Ok::<_, StoreError>(set)
    };
    let (first, second, failed) = write(&store, |writer| {
        writer.insert_database(&database(1, "shop", ChargeType::PostPaid))?;
        writer.set_instance_status(&id, ObjectStatus::Active)?;
        let first = whole(writer, day, Success)?;
        let second = whole(writer, 2 * day, Success)?;
        let failed = whole(writer, 3 * day, Failed)?;
        whole(writer, 4 * day, Progress)?;
        Ok((first, second, failed))
    });
    let expired = |second: i64| {
        let sets = store.read(|reader| reader.expired_backups(at(second)));
        let sets = sets.unwrap().into_iter();
        sets.map(|set| set.backup_id).collect::<Vec<_>>()
    };
    assert_eq!(expired(8 * day), []);
    assert_eq!(expired(8 * day + 1), [first]);
    assert_eq!(expired(700 * day), [first, failed]);
    write(&store, |writer| {
        let kept_for_a_month = BackupPolicy {
            retention: RetentionDays::new(30).unwrap(),
            ..BackupPolicy::default()
        };
        writer.put_backup_policy(&id, &name, &kept_for_a_month)
    });
    assert_eq!(expired(31 * day), []);
    assert_eq!(expired(31 * day + 1), [first]);
    write(&store, |writer| writer.protect_backup_set(first, true));
    assert_eq!(expired(700 * day), [failed]);
    write(&store, |writer| writer.protect_backup_set(first, false));
    let automated = store.read(|reader| {
        let since = at(3 * day - 10);
        assert_eq!(reader.running_automated_backups()?, 1);
        reader.automated_backups_since(&id, &name, since)
    });
    let automated: Vec<_> = automated.unwrap().iter().map(|set| set.status).collect();
    assert_eq!(automated, [Failed, Progress]);
    // What was never proven comes first, then what was proven longest ago.
    let last = || store.read(|reader| reader.last_verification()).unwrap();
    assert_eq!(last(), Some(at(day)));
    let next = || store.read(|reader| reader.least_proven_backup()).unwrap();
    for (set, at_second) in [(first, 9 * day), (second, 10 * day)] {
        let failure = (set == first).then(|| "it differs".to_owned());
        let verification = Verification {
            at: at(at_second),
            failure,
        };
        write(&store, |writer| writer.set_verification(set, &verification));
        assert_eq!(last(), Some(at(at_second)));
        let stored = store.read(|reader| reader.backup_set(set)).unwrap();
        assert_eq!(stored.unwrap().verification, Some(verification));
        let other = if set == first { second } else { first };
        assert_eq!(next().map(|set| set.backup_id), Some(other));
    }
    // A set that could not be restored keeps the one before it from going.
    let verify = |failure: Option<&str>| {
        let (at, failure) = (at(11 * day), failure.map(str::to_owned));
        let its = Verification { at, failure };
        write(&store, |writer| writer.set_verification(second, &its));
    };
    verify(Some("damaged"));
    assert_eq!(expired(700 * day), [failed]);
    verify(None);
    assert_eq!(expired(700 * day), [first, failed]);
    assert_eq!(proofs(&store), (1, 1, 0, Some(at(11 * day))));
    write(&store, |writer| writer.delete_backup_set(first));
    assert_eq!(next().map(|set| set.backup_id), Some(second));
    assert_eq!(expired(700 * day), [failed]);
    assert!(matches!(
        refused(&store, |writer| writer.protect_backup_set(first, true)),
        StoreError::NotFound { .. }
    ));
}
