//! Old audit rows, tasks and usage records go; what somebody still needs stays.

use crate::common::{account_id, at, database, db, instance, instance_id, open, tenant, write};
use jiff::Timestamp;
use openpeta_store::{
    AuditEntry, AuditFilter, NewTask, Store, StoreError, TaskFilter, TaskPhase, UsageFilter,
    UsageRecord, Writer,
};
use openpeta_types::{ChargeType, Secret, TaskStatus};

#[test]
fn old_audit_rows_go_oldest_first() {
    let (_directory, store) = open();
    let entry = |second| AuditEntry {
        at: at(second),
        account_id: None,
        ram_user: None,
        access_key_id: None,
        action: "CreateInstance".into(),
        instance_id: None,
        source_ip: None,
        user_agent: None,
        request_id: format!("R{second}"),
        parameters: "{}".into(),
        outcome: "OK".into(),
        task_id: None,
    };
    write(&store, |writer| {
        (0..10).try_for_each(|second| writer.insert_audit(&entry(second)).map(drop))
    });
    let prune = |before, among| write(&store, |writer| writer.prune_audit(at(before), among));
    assert_eq!(prune(5, 3), 3);
    assert_eq!(prune(5, 3), 2);
    assert_eq!(prune(5, 3), 0);
    let left = store.read(|reader| reader.audit(&AuditFilter::default(), 100));
    let left: Vec<_> = left.unwrap().into_iter().map(|row| row.entry.at).collect();
    assert_eq!(left, (5..10).rev().map(at).collect::<Vec<_>>());
}

fn add_task(writer: &Writer<'_>, ended: Option<Timestamp>, phase: TaskPhase) {
    let task = NewTask {
        account_id: account_id(1),
        instance_id: None,
        db_name: None,
        action: "CreateInstance",
        workflow: "make",
        params: Secret::new("{}"),
        steps: vec!["one"],
        begin_at: at(0),
        trace: None,
    };
    let id = writer.insert_task(&task).unwrap();
    let mut task = writer.task(id).unwrap().unwrap();
    task.phase = phase;
    task.finish_at = ended;
    if ended.is_some() {
        task.status = TaskStatus::Failed;
    }
    writer.update_task(&task).unwrap();
}

#[test]
fn tasks_go_that_came_to_their_end_long_ago() {
    let (_directory, store) = open();
    write(&store, |writer| {
        add_task(writer, None, TaskPhase::Forward);
        // It is stuck: the operator has yet to look.
        add_task(writer, Some(at(1)), TaskPhase::Forward);
        add_task(writer, Some(at(1)), TaskPhase::Done);
        add_task(writer, Some(at(9)), TaskPhase::Done);
        Ok(())
    });
    assert_eq!(write(&store, |writer| writer.prune_tasks(at(5), 100)), 1);
    assert_eq!(write(&store, |writer| writer.prune_tasks(at(5), 100)), 0);
    let left = store.read(|reader| reader.task_page(&TaskFilter::default(), 0, 100));
    let (count, tasks) = left.unwrap();
    assert_eq!(count, 3);
    let ended: Vec<_> = tasks.iter().map(|task| task.finish_at).collect();
    assert_eq!(ended, [Some(at(9)), Some(at(1)), None]);
    // Those who count them hear of it.
    let totals = store.read(|reader| reader.task_totals()).unwrap();
    assert_eq!(totals.iter().map(|total| total.count).sum::<u32>(), 3);
}

fn usage(store: &Store) -> Vec<(String, Timestamp)> {
    let rows = store.read(|reader| reader.usage(&UsageFilter::default(), 100));
    let rows = rows.unwrap().into_iter();
    let mut rows: Vec<_> = rows
        .map(|row| (row.db_name.as_str().to_owned(), row.started_at))
        .collect();
    rows.sort();
    rows
}

#[test]
fn the_last_usage_record_of_a_database_stays() {
    let (_directory, store) = open();
    let record = |name: &str, started: i64| UsageRecord {
        account_id: account_id(1),
        instance_id: instance_id(1),
        db_name: db(name),
        created_at: at(0),
        started_at: at(started),
        ended_at: at(started + 10),
        node_spec: database(1, name, ChargeType::PostPaid).node_spec,
        node_number: 1,
        currency: "CNY".into(),
        amount_cents: 1,
        paid_cents: 0,
    };
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_instance(&instance(1, 1))?;
        writer.insert_database(&database(1, "shop", ChargeType::PostPaid))?;
        for started in [0, 10, 20] {
            writer.insert_usage(&record("shop", started))?;
            // This one is gone since.
            writer.insert_usage(&record("gone", started))?;
        }
        Ok::<_, StoreError>(())
    });
    assert_eq!(
        write(&store, |writer| writer.prune_usage(at(1_000), 100)),
        5
    );
    assert_eq!(usage(&store), [("shop".to_owned(), at(20))]);
    assert_eq!(
        write(&store, |writer| writer.prune_usage(at(1_000), 100)),
        0
    );
}
