//! The sockets of endpoints go from one gateway to another, and back.

use std::collections::HashMap;
use std::io::Read;
use std::net::TcpStream;

use crate::support::{PASSWORD, Raw, Setup, USER, capabilities, endpoint, eventually};
use openpeta_gateway::{Gateway, GatewayConfig};

#[test]
fn another_gateway_takes_the_clients_that_come_and_counts_those_that_stay() {
    let mut setup = Setup::start();
    setup.publish(|route| route.max_connections = 2);
    let id = setup.route.instance_id.clone();
    let mut stays = setup.raw();
    assert_eq!(stays.execute("BEGIN").error(), None);
    setup.raw().quit();
    setup.warm(1);
    setup.gateway.hold();
    assert_eq!(setup.counters().warm, 0);
    // It waits until somebody accepts.
    let waiting = TcpStream::connect(setup.address).unwrap();

    let config = GatewayConfig {
        workers: 2,
        ..GatewayConfig::default()
    };
    let new = Gateway::start(config).unwrap();
    new.hold();
    new.inherit(setup.gateway.endpoint_sockets());
    new.publish(setup.route.clone());
    let any = "127.0.0.1:0".parse().unwrap();
    let opened = new.open_endpoint(endpoint(1), any, id.clone());
    assert_eq!(opened.unwrap(), setup.address);
    let elsewhere = setup.gateway.sessions_by_instance();
    assert_eq!(elsewhere, HashMap::from([(id.clone(), 1)]));
    new.set_elsewhere(&elsewhere);
    new.release();
    let mut waited = Raw::over(Box::new(waiting));
    let reply = waited.try_login(USER, PASSWORD, "shop", capabilities());
    assert_eq!(reply.error(), None, "{}", reply.text());
    assert_eq!((setup.sessions(), new.sessions(&id)), (1, 1));
    // Both together have as many as there may be.
    assert_eq!(new.counters(&id).unwrap().elsewhere, 1);
    let mut refusal = [0; 7];
    let mut third = TcpStream::connect(setup.address).unwrap();
    third.read_exact(&mut refusal).unwrap();
    assert_eq!(refusal[5..], 1040_u16.to_le_bytes());
    // The old one goes on with what it has, and keeps no connection of it.
    assert_eq!(stays.execute("COMMIT").error(), None);
    stays.quit();
    eventually("it has left", || setup.sessions() == 0);
    assert_eq!(setup.counters().warm, 0);
    new.set_elsewhere(&setup.gateway.sessions_by_instance());
    let mut second = Raw::login(setup.address, USER, PASSWORD, "shop");
    assert_eq!(second.execute("DO 1").error(), None);
    assert_eq!(new.sessions(&id), 2);

    // The new one fails; the old one takes the clients again.
    drop(new);
    let waiting = TcpStream::connect(setup.address).unwrap();
    setup.gateway.release();
    let mut waited = Raw::over(Box::new(waiting));
    let reply = waited.try_login(USER, PASSWORD, "shop", capabilities());
    assert_eq!(reply.error(), None, "{}", reply.text());
    assert_eq!(setup.sessions(), 1);
    waited.quit();
    setup.warm(1);
}

#[test]
fn a_socket_that_nobody_wants_is_closed() {
    let setup = Setup::start();
    setup.gateway.hold();
    let new = Gateway::start(GatewayConfig::default()).unwrap();
    new.hold();
    new.inherit(setup.gateway.endpoint_sockets());
    let address = setup.address;
    drop(setup);
    assert!(TcpStream::connect(address).is_ok());
    new.release();
    assert!(TcpStream::connect(address).is_err());
}
