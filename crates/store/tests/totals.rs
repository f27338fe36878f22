//! Tasks counted by status.

use crate::common::{account_id, at, open, write};
use openpeta_store::{NewTask, StoreError, TaskFilter, TaskPhase, TaskTotal, Writer};
use openpeta_types::{Secret, TaskStatus};
use proptest::prelude::*;

#[test]
fn tasks_are_counted_by_status() {
    let (_directory, store) = open();
    let totals = || store.read(|reader| reader.task_totals()).unwrap();
    assert_eq!(totals(), []);
    let add = |second| write(&store, |writer| writer.insert_task(&new_task(second)));
    let fail = |id, phase| {
        let mut task = store.read(|reader| reader.task(id)).unwrap().unwrap();
        (task.status, task.phase) = (TaskStatus::Failed, phase);
        write(&store, |writer| writer.update_task(&task));
    };
    add(4);
    add(3);
    fail(add(2), TaskPhase::Forward);
    fail(add(1), TaskPhase::Done);
    let total = |status, count, stuck, oldest| TaskTotal {
        status,
        count,
        stuck,
        oldest,
    };
    let expected = [
        total(TaskStatus::Pending, 2, 0, Some(at(3))),
        total(TaskStatus::Failed, 2, 1, None),
    ];
    assert_eq!(totals(), expected);
}

/// What is done to tasks, in one transaction.
#[derive(Clone, Debug)]
enum Change {
    Add,
    /// The task of that place becomes so.
    Set(prop::sample::Index, TaskStatus, TaskPhase),
    Progress(prop::sample::Index),
}

fn changes() -> impl Strategy<Value = Vec<(Vec<Change>, bool)>> {
    let phases = [
        TaskPhase::Forward,
        TaskPhase::Unwinding,
        TaskPhase::Cancelling,
        TaskPhase::Done,
    ];
    let set = (
        any::<prop::sample::Index>(),
        prop::sample::select(TaskStatus::ALL),
        prop::sample::select(phases.to_vec()),
    );
    let change = prop_oneof![
        Just(Change::Add),
        set.prop_map(|(task, status, phase)| Change::Set(task, status, phase)),
        any::<prop::sample::Index>().prop_map(Change::Progress),
    ];
    let transaction = (prop::collection::vec(change, 1..4), any::<bool>());
    prop::collection::vec(transaction, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The totals are what counting the tasks gives, whatever was done and rolled back.
    #[test]
    fn counts_are_those_of_the_tasks(changes in changes()) {
        let (_directory, store) = open();
        for (second, (changes, commits)) in (0..).zip(changes) {
            let done = store.write(|writer| {
                for change in changes {
                    apply(writer, &change, second)?;
                }
                match commits {
                    true => Ok(()),
                    false => Err(StoreError::NotFound { table: "rolled back" }),
                }
            });
            prop_assert_eq!(done.is_ok(), commits);
        }
        let (totals, all) = store.read(|reader| {
            let all = reader.task_page(&TaskFilter::default(), 0, u32::MAX)?.1;
            Ok::<_, StoreError>((reader.task_totals()?, all))
        }).unwrap();
        let counted: Vec<_> = TaskStatus::ALL.iter().filter_map(|status| {
            let of_status = || all.iter().filter(|task| task.status == *status);
            let oldest = of_status().map(|task| task.begin_at).min()?;
            Some(TaskTotal {
                status: *status,
                count: u32::try_from(of_status().count()).unwrap(),
                stuck: u32::try_from(of_status().filter(|task| task.is_stuck()).count()).unwrap(),
                oldest: Some(oldest).filter(|_| !status.is_final()),
            })
        }).collect();
        prop_assert_eq!(totals, counted);
    }
}

fn apply(writer: &Writer<'_>, change: &Change, second: i64) -> Result<(), StoreError> {
    let pick = |index: &prop::sample::Index| {
        let all = writer.task_page(&TaskFilter::default(), 0, u32::MAX)?.1;
        Ok::<_, StoreError>((!all.is_empty()).then(|| index.get(&all).clone()))
    };
    match change {
        Change::Add => {
            writer.insert_task(&new_task(second))?;
        }
        Change::Set(index, status, phase) => {
            if let Some(mut task) = pick(index)? {
                (task.status, task.phase) = (*status, *phase);
                writer.update_task(&task)?;
            }
        }
        Change::Progress(index) => {
            if let Some(task) = pick(index)? {
                writer.set_task_progress(task.task_id, 7, ("step", "message"), None)?;
            }
        }
    }
    Ok(())
}

fn new_task(second: i64) -> NewTask<'static> {
    NewTask {
        account_id: account_id(1),
        instance_id: None,
        db_name: None,
        action: "CreateInstance",
        workflow: "make",
        params: Secret::new("{}"),
        steps: vec!["one"],
        begin_at: at(second),
        trace: None,
    }
}
