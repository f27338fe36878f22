//! Listings out of memory show exactly what the tables hold.

use crate::common::*;
use openpeta_store::{
    InstanceDetail, InstanceFilter, Reader, Store, StoreError, VisibleInstances, Writer,
};
use openpeta_types::{
    ChargeType, EndpointType, InstanceId, ObjectStatus, Tag, TagFilter, TagKey, TagValue,
};
use proptest::prelude::*;

/// A change to the instances of two tenants.
#[derive(Clone, Debug)]
enum Change {
    Insert(u64, u64),
    Delete(u64),
    Status(u64, ObjectStatus),
    Move(u64, bool),
    AddDatabase(u64, ChargeType),
    DropDatabase(u64, ChargeType),
    AddEndpoint(u64),
    DropEndpoint(u64),
    PutTag(u64, bool),
    DropTag(u64, bool),
    DropTags(u64),
}

fn change() -> impl Strategy<Value = Change> {
    let number = 0_u64..8;
    let status = prop::sample::select(vec![ObjectStatus::Active, ObjectStatus::Modify]);
    let charge = prop::sample::select(ChargeType::ALL.to_vec());
    prop_oneof![
        3 => (1_u64..3, number.clone()).prop_map(|(tenant, number)| Change::Insert(tenant, number)),
        1 => number.clone().prop_map(Change::Delete),
        2 => (number.clone(), status).prop_map(|(number, status)| Change::Status(number, status)),
        2 => (number.clone(), any::<bool>()).prop_map(|(number, away)| Change::Move(number, away)),
        2 => (number.clone(), charge.clone()).prop_map(|(number, charge)| Change::AddDatabase(number, charge)),
        1 => (number.clone(), charge).prop_map(|(number, charge)| Change::DropDatabase(number, charge)),
        2 => number.clone().prop_map(Change::AddEndpoint),
        1 => number.clone().prop_map(Change::DropEndpoint),
        2 => (number.clone(), any::<bool>()).prop_map(|(number, first)| Change::PutTag(number, first)),
        1 => (number.clone(), any::<bool>()).prop_map(|(number, first)| Change::DropTag(number, first)),
        1 => number.prop_map(Change::DropTags),
    ]
}

fn endpoint_of(number: u64) -> openpeta_store::Endpoint {
    let port = 4_000 + u16::try_from(number).unwrap();
    endpoint(&number.to_string(), number, EndpointType::Internal, port)
}

fn tag_of(first: bool) -> Tag {
    Tag {
        key: TagKey::parse(if first { "team" } else { "env" }).unwrap(),
        value: TagValue::parse("shop").unwrap(),
    }
}

/// Makes the change if it can be made.
fn apply(writer: &Writer<'_>, change: &Change) -> Result<(), StoreError> {
    let name = |charge: ChargeType| charge.as_str().to_ascii_lowercase();
    let made = match change {
        Change::Insert(tenant, number) => writer.insert_instance(&instance(*tenant, *number)),
        Change::Delete(number) => writer.delete_instance(&instance_id(*number)),
        Change::Status(number, status) => {
            writer.set_instance_status(&instance_id(*number), *status)
        }
        Change::Move(number, away) => move_instance(writer, *number, *away),
        Change::AddDatabase(number, charge) => {
            writer.insert_database(&database(*number, &name(*charge), *charge))
        }
        Change::DropDatabase(number, charge) => {
            writer.delete_database(&instance_id(*number), &db(&name(*charge)))
        }
        Change::AddEndpoint(number) => writer.insert_endpoint(&endpoint_of(*number)),
        Change::DropEndpoint(number) => writer.delete_endpoint(&endpoint_of(*number).endpoint_id),
        Change::PutTag(number, first) => writer.put_tag(&instance_id(*number), &tag_of(*first)),
        Change::DropTag(number, first) => {
            writer.delete_tag(&instance_id(*number), &tag_of(*first).key)
        }
        Change::DropTags(number) => writer.delete_tags(&instance_id(*number)),
    };
    match made {
        Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => Ok(()),
        made => made,
    }
}

/// Callers as they are kept from one call to the next: one of each tenant, and, which no caller
/// is, one of both.
struct Callers([VisibleInstances; 2], VisibleInstances);

impl Callers {
    fn new() -> Self {
        let caller = || VisibleInstances::new(sees_even_ones);
        Self([caller(), caller()], caller())
    }

    fn of(&self, tenant: u64) -> [&VisibleInstances; 2] {
        [&self.0[tenant as usize - 1], &self.1]
    }
}

/// What a listing must be, out of the tables, newest first.
fn expected(
    reader: &Reader<'_>,
    tenant: u64,
    passes: impl Fn(&InstanceDetail) -> bool,
) -> Result<Vec<InstanceId>, StoreError> {
    let mut ids = Vec::new();
    for instance in reader.instances()?.into_iter().rev() {
        let summary = reader.instance_detail(&instance.instance_id)?;
        let summary = summary.expect("it was just listed");
        if summary.instance.account_id == account_id(tenant) && passes(&summary) {
            ids.push(summary.instance.instance_id.clone());
        }
    }
    Ok(ids)
}

fn compare(reader: &Reader<'_>, callers: &Callers) -> Result<(), StoreError> {
    let fourth = instance_id(4);
    for tenant in 1..3 {
        let check = |filter: InstanceFilter<'_>, passes: &dyn Fn(&InstanceDetail) -> bool| {
            let all = expected(reader, tenant, passes)?;
            for (offset, limit) in [(0, 50), (1, 2), (3, 10), (9, 1)] {
                let (total, page) =
                    reader.instance_page(account_id(tenant), &filter, offset, limit)?;
                assert_eq!(total, all.len() as u64);
                for row in &page {
                    let stored = reader.instance_detail(&row.instance.instance_id)?;
                    assert_eq!(Some(&**row), stored.as_ref());
                }
                let page: Vec<_> = page.iter().map(|row| &row.instance.instance_id).collect();
                let wanted: Vec<_> = all.iter().skip(offset as usize).take(limit).collect();
                assert_eq!(page, wanted);
            }
            Ok::<_, StoreError>(())
        };
        let none = InstanceFilter::default();
        check(none, &|_| true)?;
        let status = Some(ObjectStatus::Modify);
        check(InstanceFilter { status, ..none }, &|row| {
            row.instance.status == ObjectStatus::Modify
        })?;
        for &mode in ChargeType::ALL {
            let charge_type = Some(mode);
            check(
                InstanceFilter {
                    charge_type,
                    ..none
                },
                &|row| {
                    row.databases
                        .iter()
                        .any(|database| database.charge_type == mode)
                },
            )?;
        }
        let instance_id = Some(&fourth);
        check(
            InstanceFilter {
                instance_id,
                ..none
            },
            &|row| row.instance.instance_id == fourth,
        )?;
        let both = [true, false].map(|first| TagFilter {
            key: tag_of(first).key,
            value: first.then(|| tag_of(first).value),
        });
        check(
            InstanceFilter {
                tags: &both,
                ..none
            },
            &|row| row.tags.len() == 2,
        )?;
        let is_tagged = true;
        check(InstanceFilter { is_tagged, ..none }, &|row| {
            !row.tags.is_empty()
        })?;
        let region = Some("cn-beijing");
        check(InstanceFilter { region, ..none }, &|row| {
            row.instance.region_id == "cn-beijing"
        })?;
        for caller in callers.of(tenant) {
            let visible = InstanceFilter {
                visible: Some(caller),
                ..none
            };
            let even = |row: &InstanceDetail| {
                sees_even_ones(&row.instance.instance_id, &row.instance.region_id)
            };
            check(visible, &even)?;
            check(
                InstanceFilter {
                    instance_id,
                    ..visible
                },
                &|row| even(row) && row.instance.instance_id == fourth,
            )?;
            check(
                InstanceFilter {
                    is_tagged,
                    ..visible
                },
                &|row| even(row) && !row.tags.is_empty(),
            )?;
        }
    }
    Ok(())
}

/// As [`compare`], for the listings that only the last commit has.
fn compare_committed(store: &Store, callers: &Callers) -> Result<(), StoreError> {
    store.read(|reader| compare(reader, callers))?;
    for tenant in 1..3 {
        let wanted = store.read(|reader| {
            expected(reader, tenant, |row| {
                sees_even_ones(&row.instance.instance_id, &row.instance.region_id)
            })
        })?;
        for caller in callers.of(tenant) {
            let filter = InstanceFilter {
                visible: Some(caller),
                ..InstanceFilter::default()
            };
            let (mut ids, mut after) = (Vec::new(), None);
            loop {
                let (page, last) = store.instances_after(account_id(tenant), &filter, after, 2);
                ids.extend(page.iter().map(|row| row.instance.instance_id.clone()));
                after = last;
                if last.is_none() {
                    break;
                }
            }
            assert_eq!(ids, wanted);
            let (_, databases) = store.database_page(account_id(tenant), &filter, 0, 100);
            let mut ids: Vec<_> = databases
                .iter()
                .map(|(row, _)| row.instance.instance_id.clone())
                .collect();
            ids.dedup();
            let with_databases = wanted.iter().filter(|id| {
                let detail = store.instance_detail(id);
                detail.is_some_and(|detail| !detail.databases.is_empty())
            });
            assert_eq!(
                ids.iter().collect::<Vec<_>>(),
                with_databases.collect::<Vec<_>>()
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn memory_follows_every_commit(
        transactions in prop::collection::vec(
            (prop::collection::vec(change(), 1..12), prop::bool::weighted(0.8)),
            1..5,
        )
    ) {
        let (directory, store) = open();
        let callers = Callers::new();
        write(&store, |writer| {
            writer.insert_tenant(&tenant(1))?;
            writer.insert_tenant(&tenant(2))
        });
        for (changes, commits) in transactions {
            let ended = store.write(|writer| {
                for change in &changes {
                    apply(writer, change)?;
                }
                compare(writer, &callers)?;
                if commits { Ok(()) } else { Err(StoreError::ReadOnly) }
            });
            prop_assert_eq!(ended.is_ok(), commits);
            compare_committed(&store, &callers).unwrap();
        }
        drop(store);
        compare_committed(&Store::open(directory.path()).unwrap(), &callers).unwrap();
    }
}

#[test]
fn pages_by_place_follow_each_other() {
    let (_directory, store) = open();
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        for number in 0..7 {
            writer.insert_instance(&instance(1, number))?;
        }
        writer.put_tag(&instance_id(3), &tag_of(true))
    });
    let page = |filter: &InstanceFilter<'_>, after, limit| {
        let (rows, last) = store.instances_after(account_id(1), filter, after, limit);
        let ids = rows.iter().map(|row| row.instance.instance_id.to_string());
        (ids.collect::<Vec<_>>(), last)
    };
    let all = InstanceFilter::default();
    let (first, last) = page(&all, None, 3);
    assert_eq!(first, ["pd-6", "pd-5", "pd-4"]);
    write(&store, |writer| writer.delete_instance(&instance_id(4)));
    let (second, last) = page(&all, last, 3);
    assert_eq!(second, ["pd-3", "pd-2", "pd-1"]);
    assert_eq!(page(&all, last, 1), (vec!["pd-0".to_owned()], None));
    assert_eq!(page(&all, Some(i64::MIN), 3), (vec![], None));
    let tagged = InstanceFilter {
        is_tagged: true,
        ..all
    };
    assert_eq!(page(&tagged, None, 1), (vec!["pd-3".to_owned()], None));
}

#[test]
fn pages_of_databases_go_by_instance_and_name() {
    use openpeta_types::ChargeType::{PostPaid, PrePaid};
    let (_directory, store) = open();
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        for number in 0..3 {
            writer.insert_instance(&instance(1, number))?;
        }
        for (number, name, charge_type) in [
            (0, "b", PostPaid),
            (0, "a", PrePaid),
            (2, "d", PostPaid),
            (2, "c", PostPaid),
        ] {
            writer.insert_database(&database(number, name, charge_type))?;
        }
        Ok(())
    });
    let page = |filter: &InstanceFilter<'_>, offset, limit| {
        let (total, rows) = store.database_page(account_id(1), filter, offset, limit);
        let names = rows.iter().map(|(detail, place)| {
            let id = &detail.instance.instance_id;
            format!("{id}/{}", detail.databases[*place].db_name)
        });
        (total, names.collect::<Vec<_>>())
    };
    let all = InstanceFilter::default();
    let names = ["pd-2/c", "pd-2/d", "pd-0/a", "pd-0/b"].map(str::to_owned);
    assert_eq!(page(&all, 0, 10), (4, names.to_vec()));
    assert_eq!(page(&all, 1, 2), (4, names[1..3].to_vec()));
    assert_eq!(page(&all, 4, 2), (4, vec![]));
    assert_eq!(page(&all, u64::MAX, 2), (4, vec![]));
    let prepaid = InstanceFilter {
        charge_type: Some(PrePaid),
        ..all
    };
    assert_eq!(page(&prepaid, 0, 10), (1, names[2..3].to_vec()));
    let one = InstanceFilter {
        instance_id: Some(&instance_id(0)),
        ..all
    };
    assert_eq!(page(&one, 0, 10), (2, names[2..].to_vec()));
    write(&store, |writer| {
        writer.delete_database(&instance_id(0), &db("a"))
    });
    assert_eq!(page(&one, 0, 10), (1, names[3..].to_vec()));
}

#[test]
fn a_summary_has_the_default_endpoint() {
    let (_directory, store) = open();
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_instance(&instance(1, 1))?;
        writer.insert_database(&database(1, "b", ChargeType::PrePaid))?;
        writer.insert_database(&database(1, "a", ChargeType::PostPaid))?;
        writer.insert_endpoint(&endpoint("p", 1, EndpointType::Public, 3201))
    });
    let page = || {
        let filter = InstanceFilter::default();
        let (total, mut rows) = store.instance_page(account_id(1), &filter, 0, 10);
        assert_eq!(total, 1);
        rows.remove(0)
    };
    assert_eq!(page().default_endpoint(), None);
    let names: Vec<_> = page()
        .databases
        .iter()
        .map(|database| database.db_name.clone())
        .collect();
    assert_eq!(names, [db("a"), db("b")]);
    let default = endpoint("d", 1, EndpointType::Internal, 4000);
    write(&store, |writer| writer.insert_endpoint(&default));
    assert_eq!(page().default_endpoint(), Some(&default));
    let detail = store.instance_detail(&instance_id(1)).unwrap();
    assert_eq!(detail.endpoints[0].port, 4000);
    assert_eq!(detail.instance, instance(1, 1));
}

/// 10,000 instances, median of many calls. Run: `cargo nextest run --release -p openpeta-store
/// --run-ignored only --no-capture speed`.
#[test]
#[ignore = "a measurement, of use in release builds only"]
fn speed_of_pages_and_details() {
    let (_directory, store) = open();
    write(&store, |writer| {
        for number in 1..=3 {
            writer.insert_tenant(&tenant(number))?;
        }
        for number in 0..10_000_u64 {
            writer.insert_instance(&instance(number % 3 + 1, number))?;
            writer.insert_database(&database(number, "a", ChargeType::PostPaid))?;
            let port = 10_000 + u16::try_from(number).unwrap();
            writer.insert_endpoint(&endpoint(
                &number.to_string(),
                number,
                EndpointType::Internal,
                port,
            ))?;
        }
        Ok(())
    });
    let median = |mut call: Box<dyn FnMut(u64)>| {
        let mut times: Vec<_> = (0..2_000_u64)
            .map(|round| {
                let begun = std::time::Instant::now();
                call(round * 7_919 % 3_000);
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let lists = store.clone();
    let page = median(Box::new(move |place| {
        let filter = InstanceFilter::default();
        let (_, rows) = lists.instance_page(account_id(1), &filter, place, 50);
        assert_eq!(rows.len(), 50);
    }));
    let filtered = store.clone();
    let visible = VisibleInstances::new(|id, _| !id.as_str().ends_with('7'));
    let filtered = median(Box::new(move |place| {
        let filter = InstanceFilter {
            visible: Some(&visible),
            ..InstanceFilter::default()
        };
        let (_, rows) = filtered.instance_page(account_id(1), &filter, place / 2, 50);
        assert!(!rows.is_empty());
    }));
    let details = store.clone();
    let detail = median(Box::new(move |number| {
        assert!(details.instance_detail(&instance_id(number)).is_some());
    }));
    println!("page of 50: {page:?}, filtered: {filtered:?}, detail: {detail:?}");
}
