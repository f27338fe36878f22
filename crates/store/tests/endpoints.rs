//! Endpoints: where they listen, which of them clients are told of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::common::*;
use openpeta_store::{Endpoint, EndpointState, Store, StoreError};
use openpeta_types::{ConnectionPrefix, EndpointType};

/// A store with a tenant and an instance of it.
fn with_instance() -> (tempfile::TempDir, Store) {
    let (directory, store) = open();
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_instance(&instance(1, 1))
    });
    (directory, store)
}

fn prefix(text: &str) -> ConnectionPrefix {
    ConnectionPrefix::parse(text).unwrap()
}

#[test]
fn endpoints_are_unique_where_they_must_be() {
    let (_directory, store) = with_instance();
    let first = endpoint("a", 1, EndpointType::Internal, 4000);
    let public = Endpoint {
        prefix: Some(prefix("shop")),
        ..endpoint("p", 1, EndpointType::Public, 4003)
    };
    write(&store, |writer| {
        writer.insert_endpoint(&first)?;
        writer.insert_endpoint(&public)
    });
    let same_place = endpoint("b", 1, EndpointType::Public, 4000);
    let second_default = endpoint("c", 1, EndpointType::Vpc, 4001);
    let same_prefix = Endpoint {
        prefix: public.prefix.clone(),
        ..endpoint("q", 1, EndpointType::Public, 4009)
    };
    for wrong in [same_place, second_default, same_prefix] {
        let refused = store.write(|writer| writer.insert_endpoint(&wrong));
        assert!(
            matches!(refused, Err(StoreError::Conflict { .. })),
            "{wrong:?}"
        );
    }
    store
        .read(|reader| {
            assert!(reader.has_endpoint_prefix(&prefix("shop"))?);
            assert!(!reader.has_endpoint_prefix(&prefix("other"))?);
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

#[test]
fn a_switch_changes_the_default_endpoint() {
    let (_directory, store) = with_instance();
    let first = endpoint("a", 1, EndpointType::Internal, 4000);
    let public = endpoint("p", 1, EndpointType::Public, 4003);
    let second = endpoint("c", 1, EndpointType::Vpc, 4001);
    let opening = Endpoint {
        state: EndpointState::Opening,
        ..second.clone()
    };
    write(&store, |writer| {
        writer.insert_endpoint(&first)?;
        writer.insert_endpoint(&public)?;
        writer.insert_endpoint(&opening)
    });
    let shown = || {
        let detail = store.instance_detail(&instance_id(1)).unwrap();
        let ports = detail.endpoints.iter().map(|endpoint| endpoint.port);
        ports.collect::<Vec<_>>()
    };
    assert_eq!(shown(), [4000, 4003]);
    write(&store, |writer| {
        writer.set_endpoint_expiry(&first.endpoint_id, Some(at(50)))?;
        writer.set_endpoint_state(&second.endpoint_id, EndpointState::Active)
    });
    assert_eq!(shown(), [4001, 4003, 4000]);
    let expiring = store.read(|reader| reader.expiring_endpoints()).unwrap();
    assert_eq!(expiring.len(), 1);
    assert_eq!(expiring[0].endpoint_id, first.endpoint_id);
    write(&store, |writer| {
        writer.set_endpoint_state(&public.endpoint_id, EndpointState::Closing)
    });
    assert_eq!(shown(), [4001, 4000]);
    let with_port = |port| {
        let wanted = |endpoint: &Endpoint| endpoint.port == port;
        store.instances_with_endpoint(account_id(1), wanted).len()
    };
    assert_eq!((with_port(4001), with_port(4003)), (1, 0));
    assert_eq!(
        store.instances_with_endpoint(account_id(2), |_| true).len(),
        0
    );
}

#[test]
fn a_port_on_the_unspecified_address_is_taken_on_every_one() {
    let (_directory, store) = with_instance();
    let first = endpoint("a", 1, EndpointType::Internal, 4000);
    let public = endpoint("p", 1, EndpointType::Public, 4003);
    let moved = Endpoint {
        address: Ipv4Addr::UNSPECIFIED.into(),
        port: 4001,
        connection_string: "db.example.com".into(),
        ..public.clone()
    };
    write(&store, |writer| {
        writer.insert_endpoint(&first)?;
        writer.insert_endpoint(&public)?;
        writer.move_endpoint(&moved)
    });
    store
        .read(|reader| {
            assert_eq!(reader.endpoint(&public.endpoint_id)?, Some(moved.clone()));
            let free = |address: IpAddr, range, usable: fn(u16) -> bool| {
                reader.free_port(address, range, usable)
            };
            let (own, other) = (first.address, IpAddr::from([10, 0, 0, 1]));
            assert_eq!(free(own, 4000..=4009, |_| true)?, Some(4002));
            assert_eq!(free(own, 4000..=4009, |port| port > 4005)?, Some(4006));
            assert_eq!(free(own, 4000..=4001, |_| true)?, None);
            assert_eq!(free(other, 4000..=4009, |_| true)?, Some(4000));
            assert_eq!(free(other, 4001..=4009, |_| true)?, Some(4002));
            let everywhere = Ipv4Addr::UNSPECIFIED.into();
            assert_eq!(free(everywhere, 4000..=4009, |_| true)?, Some(4002));
            let by_ipv6 = Ipv6Addr::UNSPECIFIED.into();
            assert_eq!(free(by_ipv6, 4000..=4009, |_| true)?, Some(4000));
            Ok::<_, StoreError>(())
        })
        .unwrap();
}
