//! Every resource: what is written comes back, what is wrong is refused, what is gone is gone.

use std::net::{IpAddr, Ipv4Addr};

use crate::common::*;
use jiff::{SignedDuration, Timestamp};
use openpeta_store::{
    AccessKeyStatus, AuditEntry, AuditFilter, Endpoint, IdempotencyRecord, NewOrder, NewTask,
    NodeState, OrderFilter, PolicyAttachment, StepState, Store, StoreError, TaskFilter, TaskPhase,
    Topic,
};
use openpeta_types::{
    AccountStatus, ChargeType, EndpointType, LockMode, NetworkType, ObjectStatus, PrivilegeSet,
    Secret, TaskId, TaskStatus, WhitelistGroup, parse_entries,
};

#[test]
fn tenants() {
    let (_directory, store) = open();
    write(&store, |writer| writer.insert_tenant(&tenant(1)));
    let mut changed = tenant(1);
    changed.balance_cents = -5;
    changed.instance_quota = None;
    changed.database_quota = None;
    write(&store, |writer| writer.update_tenant(&changed));
    store
        .read(|reader| {
            assert_eq!(reader.tenant(account_id(1))?, Some(changed.clone()));
            assert_eq!(reader.tenant(account_id(2))?, None);
            assert_eq!(reader.tenants()?, vec![changed]);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let same_name = openpeta_store::Tenant {
        name: tenant(1).name,
        ..tenant(2)
    };
    assert!(matches!(
        refused(&store, |writer| writer.insert_tenant(&same_name)),
        StoreError::Conflict { constraint } if constraint.contains("tenants.name")
    ));
    assert!(matches!(
        refused(&store, |writer| writer.update_tenant(&tenant(3))),
        StoreError::NotFound { table: "tenants" }
    ));
}

#[test]
fn keys_and_policies_are_followed_in_memory() {
    let (directory, store) = open();
    let policy = PolicyAttachment {
        account_id: account_id(1),
        user_name: "dev".into(),
        policy_name: "read".into(),
        document: "{}".into(),
    };
    let temporary = temporary_key(1, "STS.1", "dev", at(100));
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_ram_user(&ram_user(1, "dev"))?;
        writer.insert_access_key(&access_key(1, "LTAI1"))?;
        writer.insert_access_key(&temporary)?;
        writer.attach_policy(&policy)
    });
    assert_eq!(*store.access_key("LTAI1").unwrap(), access_key(1, "LTAI1"));
    assert_eq!(*store.access_key("STS.1").unwrap(), temporary);
    let policies = store.policies(account_id(1), "dev");
    assert_eq!(*policies, vec![policy.clone()]);
    assert!(store.policies(account_id(1), "other").is_empty());

    let changed = PolicyAttachment {
        document: "{\"Version\":\"1\"}".into(),
        ..policy
    };
    write(&store, |writer| {
        writer.set_access_key_status(
            &access_key(1, "LTAI1").access_key_id,
            AccessKeyStatus::Disabled,
        )?;
        writer.attach_policy(&changed)
    });
    let status = store.access_key("LTAI1").unwrap().status;
    assert_eq!(status, AccessKeyStatus::Disabled);
    assert_eq!(*store.policies(account_id(1), "dev"), vec![changed.clone()]);

    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.access_key("LTAI1").unwrap().status, status);
    assert_eq!(*store.access_key("STS.1").unwrap(), temporary);
    assert_eq!(*store.policies(account_id(1), "dev"), vec![changed]);
    let removed = write(&store, |writer| writer.delete_expired_access_keys(at(101)));
    assert_eq!(removed, 1);
    assert!(store.access_key("STS.1").is_none());
    write(&store, |writer| {
        writer.detach_policy(account_id(1), "dev", "read")
    });
    assert!(store.policies(account_id(1), "dev").is_empty());
    assert!(matches!(
        refused(&store, |writer| writer
            .insert_access_key(&access_key(9, "LTAI9"))),
        StoreError::Conflict { .. }
    ));
    assert!(store.access_key("LTAI9").is_none());
}

#[test]
fn addresses_of_a_vswitch_run_out_and_come_back() {
    let (_directory, store) = with_instance();
    let vswitch = vswitch("127.16.8.0/29");
    write(&store, |writer| {
        writer.insert_vpc(&vpc())?;
        writer.insert_vswitch(&vswitch)
    });
    let free = || {
        store
            .read(|reader| reader.free_address(&vswitch.vswitch_id, |_| true))
            .unwrap()
    };
    // Of eight addresses network, gateway and broadcast are not handed out.
    for last in 2..=6 {
        let address = free().unwrap();
        assert_eq!(address, Ipv4Addr::new(127, 16, 8, last));
        write(&store, |writer| {
            writer.insert_endpoint(&Endpoint {
                address: IpAddr::V4(address),
                vpc_id: Some(vpc().vpc_id),
                vswitch_id: Some(vswitch.vswitch_id.clone()),
                ..endpoint(&format!("{last}"), 1, EndpointType::Public, 3306)
            })
        });
    }
    assert_eq!(free(), None);
    let third = endpoint("3", 1, EndpointType::Public, 0).endpoint_id;
    write(&store, |writer| writer.delete_endpoint(&third));
    assert_eq!(free(), Some(Ipv4Addr::new(127, 16, 8, 3)));
    let none = store.read(|reader| reader.free_address(&vswitch.vswitch_id, |_| false));
    assert_eq!(none.unwrap(), None);
    store
        .read(|reader| {
            assert_eq!(reader.vpcs()?, vec![vpc()]);
            assert_eq!(reader.vpc(&vpc().vpc_id)?, Some(vpc()));
            assert_eq!(reader.vswitches(&vpc().vpc_id)?, vec![vswitch.clone()]);
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

#[test]
fn instances_databases_and_nodes() {
    let (_directory, store) = with_instance();
    let mut changed = instance(1, 1);
    changed.name = None;
    changed.network_type = NetworkType::Vpc;
    changed.node_id = Some(node(1, None).node_id);
    changed.status = ObjectStatus::Active;
    let database = database(1, "a", ChargeType::PrePaid);
    write(&store, |writer| {
        // The node may come after the instance that names it.
        writer.update_instance(&changed)?;
        writer.insert_node(&node(1, Some(1)))?;
        writer.insert_node(&node(2, None))?;
        writer.insert_database(&database)
    });
    write(&store, |writer| {
        writer.set_instance_lock(
            &changed.instance_id,
            LockMode::LockByDiskQuota,
            Some("full"),
        )?;
        writer.set_node_state(&node(1, None).node_id, NodeState::Running)
    });
    changed.lock_mode = LockMode::LockByDiskQuota;
    changed.lock_reason = Some("full".into());
    store
        .read(|reader| {
            assert_eq!(
                reader.instance(&changed.instance_id)?,
                Some(changed.clone())
            );
            assert_eq!(reader.instances()?, vec![changed.clone()]);
            assert_eq!(
                reader.databases(&changed.instance_id)?,
                vec![database.clone()]
            );
            assert_eq!(reader.spare_nodes()?, vec![node(2, None)]);
            let nodes = reader.nodes_of(&changed.instance_id)?;
            assert_eq!(nodes[0].state, NodeState::Running);
            assert_eq!(nodes[0].settings, node(1, None).settings);
            let detail = reader.instance_detail(&changed.instance_id)?.unwrap();
            assert_eq!(detail.databases, vec![database]);
            Ok::<_, StoreError>(())
        })
        .unwrap();

    // A node that may still have a process keeps its instance.
    let error = refused(&store, |writer| {
        writer.delete_instance(&changed.instance_id)
    });
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert!(
        store
            .read(|reader| reader.instance(&changed.instance_id))
            .unwrap()
            .is_some()
    );
    write(&store, |writer| {
        writer.delete_instance(&changed.instance_id)?;
        writer.delete_node(&node(1, None).node_id)
    });
    store
        .read(|reader| {
            assert_eq!(reader.instances()?, vec![]);
            assert_eq!(reader.databases(&changed.instance_id)?, vec![]);
            assert_eq!(reader.nodes()?, vec![node(2, None)]);
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

#[test]
fn accounts_and_grants() {
    let (_directory, store) = with_instance();
    let id = instance_id(1);
    let name = account_name("app");
    write(&store, |writer| {
        writer.insert_database(&database(1, "a", ChargeType::PostPaid))?;
        writer.insert_database(&database(1, "b", ChargeType::PostPaid))?;
        writer.insert_account(&account(1, "app"))?;
        writer.set_grant(&id, &name, &db("a"), Some(PrivilegeSet::ReadOnly))?;
        writer.set_grant(&id, &name, &db("a"), Some(PrivilegeSet::ReadWrite))?;
        writer.set_grant(&id, &name, &db("b"), Some(PrivilegeSet::DdlOnly))
    });
    let mut login = account(1, "app").login;
    login.backend_password = Secret::new("another-one");
    write(&store, |writer| {
        writer.set_account_login(&id, &name, &login)?;
        writer.set_account_description(&id, &name, &None)?;
        writer.set_account_status(&id, &name, AccountStatus::Delete)?;
        writer.delete_database(&id, &db("b"))
    });
    store
        .read(|reader| {
            let account = reader.account(&id, &name)?.unwrap();
            assert_eq!(account.login, login);
            assert_eq!(account.description, None);
            assert_eq!(account.status, AccountStatus::Delete);
            assert_eq!(reader.accounts(&id)?, vec![account]);
            let grants = reader.grants(&id, &name)?;
            assert_eq!(grants.len(), 1);
            assert_eq!(grants[0].privilege, PrivilegeSet::ReadWrite);
            let on = reader.grants_on(&id, &db("a"))?;
            assert_eq!(on, vec![(name.clone(), PrivilegeSet::ReadWrite)]);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    write(&store, |writer| {
        writer.set_grant(&id, &name, &db("a"), None)
    });
    write(&store, |writer| writer.delete_account(&id, &name));
    let rest = store.read(|reader| reader.accounts(&id)).unwrap();
    assert_eq!(rest, vec![]);
    assert!(matches!(
        refused(&store, |writer| writer.set_grant(
            &id,
            &name,
            &db("a"),
            Some(PrivilegeSet::ReadOnly)
        )),
        StoreError::Conflict { .. }
    ));
}

#[test]
fn whitelist_groups_keep_order_and_spelling() {
    let (_directory, store) = with_instance();
    let id = instance_id(1);
    let group = |name: &str, entries: &str| WhitelistGroup {
        name: name.into(),
        attribute: "hidden".into(),
        entries: if entries.is_empty() {
            vec![]
        } else {
            parse_entries(entries).unwrap()
        },
    };
    let topic = store.watch(Topic::Whitelists);
    write(&store, |writer| {
        writer.put_whitelist_group(&id, &group("default", "127.0.0.1,10.1.2.3/8"))?;
        writer.put_whitelist_group(&id, &group("app", "1.2.3.4"))?;
        writer.put_whitelist_group(&id, &group("default", ""))
    });
    assert!(topic.has_changed().unwrap());
    store
        .read(|reader| {
            let groups = reader.whitelist_groups(&id)?;
            assert_eq!(groups, vec![group("default", ""), group("app", "1.2.3.4")]);
            assert_eq!(
                reader.whitelist_group(&id, "app")?,
                Some(group("app", "1.2.3.4"))
            );
            Ok::<_, StoreError>(())
        })
        .unwrap();
    write(&store, |writer| writer.delete_whitelist_group(&id, "app"));
    assert!(matches!(
        refused(&store, |writer| writer.delete_whitelist_group(&id, "app")),
        StoreError::NotFound { .. }
    ));
}

#[test]
fn orders_and_idempotency() {
    let (_directory, store) = with_instance();
    let order = NewOrder {
        account_id: account_id(1),
        instance_id: instance_id(1),
        db_name: Some(db("a")),
        action: "CreateInstance".into(),
        charge_type: Some(ChargeType::PrePaid),
        currency: Some("CNY".into()),
        amount_cents: 1_234,
        paid_cents: 1_234,
        details: Some("{}".into()),
        created_at: at(1),
    };
    let first = write(&store, |writer| writer.insert_order(&order));
    let second = write(&store, |writer| writer.insert_order(&order));
    assert_eq!(first.number() + 1, second.number());
    assert_eq!(first.to_string().len(), 15);
    write(&store, |writer| writer.cancel_order(first, at(2)));
    let list = |filter: OrderFilter, limit| store.read(|reader| reader.orders(&filter, limit));
    let mine = OrderFilter {
        account_id: Some(account_id(1)),
        instance_id: Some(instance_id(1)),
    };
    let orders = list(mine, 10).unwrap();
    let [newest, oldest] = &orders[..] else {
        panic!("{orders:?}")
    };
    assert_eq!((newest.order_id, &newest.order), (second, &order));
    assert_eq!(
        (oldest.order.paid_cents, oldest.cancelled_at),
        (0, Some(at(2)))
    );
    assert_eq!(list(OrderFilter::default(), 1).unwrap(), orders[..1]);
    let others = OrderFilter {
        account_id: Some(account_id(2)),
        instance_id: None,
    };
    assert_eq!(list(others, 10).unwrap(), []);

    let record = IdempotencyRecord {
        account_id: account_id(1),
        action: "CreateInstance".into(),
        token: "t".into(),
        digest: [9; 32],
        response: "{}".into(),
        created_at: at(0),
    };
    write(&store, |writer| writer.insert_idempotency(&record));
    assert!(matches!(
        refused(&store, |writer| writer.insert_idempotency(&record)),
        StoreError::Conflict { .. }
    ));
    let look = |action: &str| {
        store
            .read(|reader| reader.idempotency(account_id(1), action, "t"))
            .unwrap()
    };
    assert_eq!(look("CreateInstance"), Some(record));
    assert_eq!(look("DeleteInstance"), None);
    assert_eq!(write(&store, |writer| writer.sweep_idempotency(at(0))), 0);
    assert_eq!(write(&store, |writer| writer.sweep_idempotency(at(1))), 1);
    assert_eq!(look("CreateInstance"), None);
}

#[test]
fn audit_is_listed_newest_first_and_filtered() {
    let (_directory, store) = open();
    let entry = |number: i64| AuditEntry {
        at: at(number),
        account_id: Some(account_id(number.unsigned_abs() % 2)),
        ram_user: (number % 3 == 0).then(|| "dev".to_owned()),
        access_key_id: Some("LTAI".into()),
        action: if number % 2 == 0 {
            "CreateInstance"
        } else {
            "DeleteInstance"
        }
        .into(),
        instance_id: Some(instance_id(number.unsigned_abs())),
        source_ip: Some("10.0.0.1".parse().unwrap()),
        user_agent: None,
        request_id: format!("R{number}"),
        parameters: "{}".into(),
        outcome: "OK".into(),
        task_id: Some(TaskId::from_number(number)),
    };
    write(&store, |writer| {
        (0..20).try_for_each(|number| writer.insert_audit(&entry(number)).map(drop))
    });
    let list =
        |filter: AuditFilter, limit| store.read(|reader| reader.audit(&filter, limit)).unwrap();
    let newest = list(AuditFilter::default(), 3);
    assert_eq!(newest[0].entry, entry(19));
    let next = list(
        AuditFilter {
            before_id: Some(newest[2].id),
            ..AuditFilter::default()
        },
        3,
    );
    assert_eq!(next[0].entry, entry(16));
    let filtered = list(
        AuditFilter {
            account_id: Some(account_id(0)),
            ram_user: Some("dev".into()),
            action: Some("CreateInstance".into()),
            from: Some(at(6)),
            to: Some(at(18)),
            ..AuditFilter::default()
        },
        100,
    );
    let seconds: Vec<_> = filtered.iter().map(|record| record.entry.at).collect();
    assert_eq!(seconds, [at(12), at(6)]);
    let about = AuditFilter {
        instance_id: Some(instance_id(7)),
        ..AuditFilter::default()
    };
    assert_eq!(list(about, 100).len(), 1);
}

#[test]
fn tasks_and_their_steps() {
    let (_directory, store) = open();
    let new_task = |number: u64, action: &'static str, begin_at: Timestamp| NewTask {
        account_id: account_id(1),
        instance_id: Some(instance_id(number)),
        db_name: Some(db("a")),
        action,
        workflow: "make",
        params: Secret::new("{\"password\":\"p\"}"),
        steps: vec!["one", "two"],
        begin_at,
        trace: None,
    };
    let first = write(&store, |writer| {
        writer.insert_task(&new_task(1, "CreateInstance", at(1)))
    });
    let second = write(&store, |writer| {
        writer.insert_task(&new_task(1, "DeleteInstance", at(2)))
    });
    assert_eq!(first.number(), 1_000_001);
    assert_eq!(second.number(), 1_000_002);

    let mut task = store.read(|reader| reader.task(first)).unwrap().unwrap();
    assert_eq!(
        (task.status, task.phase),
        (TaskStatus::Pending, TaskPhase::Forward)
    );
    task.status = TaskStatus::Succeeded;
    task.phase = TaskPhase::Done;
    task.progress = 100;
    task.message = Some("done".into());
    task.started_at = Some(at(3));
    task.finish_at = Some(at(7));
    let mut steps = store.read(|reader| reader.task_steps(first)).unwrap();
    assert_eq!(
        steps
            .iter()
            .map(|step| step.name.as_str())
            .collect::<Vec<_>>(),
        ["one", "two"]
    );
    steps[1].state = StepState::Done;
    steps[1].output = Some(Secret::new("42"));
    steps[1].attempts = 3;
    write(&store, |writer| {
        writer.update_task(&task)?;
        writer.update_task_step(&steps[1])
    });
    store
        .read(|reader| {
            assert_eq!(reader.task(first)?, Some(task));
            assert_eq!(reader.task_steps(first)?, steps);
            assert_eq!(reader.task_params(first)?.expose(), "{\"password\":\"p\"}");
            let unfinished = reader.unfinished_tasks_of(&instance_id(1))?;
            assert_eq!(unfinished.len(), 1);
            assert_eq!(unfinished[0].task_id, second);
            let durations = reader.task_durations("make", 10)?;
            assert_eq!(durations, vec![SignedDuration::from_secs(4)]);

            let page = |filter: TaskFilter<'_>, offset| {
                let (total, page) = reader.task_page(&filter, offset, 30)?;
                let ids = page.iter().map(|task| task.task_id).collect::<Vec<_>>();
                Ok::<_, StoreError>((total, ids))
            };
            assert_eq!(page(TaskFilter::default(), 0)?, (2, vec![second, first]));
            assert_eq!(page(TaskFilter::default(), 1)?, (2, vec![first]));
            assert_eq!(page(TaskFilter::default(), 9)?, (2, vec![]));
            let open = [TaskStatus::Pending, TaskStatus::Running, TaskStatus::Failed];
            let open = TaskFilter {
                statuses: Some(&open),
                ..TaskFilter::default()
            };
            assert_eq!(page(open, 0)?, (1, vec![second]));
            let early = TaskFilter {
                to: Some(at(1)),
                ..TaskFilter::default()
            };
            assert_eq!(page(early, 0)?, (1, vec![first]));
            let late = TaskFilter {
                from: Some(at(2)),
                action: Some("DeleteInstance".into()),
                ..TaskFilter::default()
            };
            assert_eq!(page(late, 0)?, (1, vec![second]));
            let other = TaskFilter {
                instance_id: Some(instance_id(2)),
                ..TaskFilter::default()
            };
            assert_eq!(page(other, 0)?, (0, vec![]));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    write(&store, |writer| {
        writer.set_task_progress(second, 40, ("One", "half"), None)
    });
    let second = store.read(|reader| reader.task(second)).unwrap().unwrap();
    assert_eq!(second.message.as_deref(), Some("half"));
}
