//! Tasks counted by status.

mod common;

use common::{account_id, at, open, write};
use openpeta_store::{NewTask, TaskPhase, TaskTotal};
use openpeta_types::{Secret, TaskStatus};

#[test]
fn tasks_are_counted_by_status() {
    let (_directory, store) = open();
    let totals = || store.read(|reader| reader.task_totals()).unwrap();
    assert_eq!(totals(), []);
    let add = |second| {
        let new = NewTask {
            account_id: account_id(1),
            instance_id: None,
            db_name: None,
            action: "CreateInstance",
            workflow: "make",
            params: Secret::new("{}"),
            steps: vec!["one"],
            begin_at: at(second),
        };
        write(&store, |writer| writer.insert_task(&new))
    };
    let fail = |id, phase| {
        let mut task = store.read(|reader| reader.task(id)).unwrap().unwrap();
        (task.status, task.phase) = (TaskStatus::Failed, phase);
        write(&store, |writer| writer.update_task(&task));
    };
    add(4);
    add(3);
    fail(add(2), TaskPhase::Forward);
    fail(add(1), TaskPhase::Done);
    let total = |status, count, stuck, second| TaskTotal {
        status,
        count,
        stuck,
        oldest: at(second),
    };
    let expected = [
        total(TaskStatus::Pending, 2, 0, 3),
        total(TaskStatus::Failed, 2, 1, 1),
    ];
    assert_eq!(totals(), expected);
}
