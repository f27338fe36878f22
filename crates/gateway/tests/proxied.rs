//! Connections from load balancers, which tell by a PROXY header whom they are for.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::{
    PASSWORD, Raw, Setup, USER, capabilities, connect_from, eventually, whitelist,
};
use openpeta_gateway::GatewayConfig;
use openpeta_mysql_wire::proxy;

/// A gateway whose load balancer is at 127.0.0.9 and whose clients are at 10.0.0.0/24.
fn setup(login_timeout: Duration) -> Setup {
    let mut setup = Setup::with(GatewayConfig {
        proxy_protocol_from: whitelist("127.0.0.9"),
        login_timeout,
        ..GatewayConfig::default()
    });
    setup.publish(|route| route.whitelist = whitelist("10.0.0.0/24,127.0.0.1"));
    setup
}

fn balancer(setup: &Setup, header: &[u8]) -> TcpStream {
    let mut stream = connect_from("127.0.0.9", setup.address);
    stream.write_all(header).unwrap();
    stream
}

fn version_2(client: &str) -> Vec<u8> {
    let mut header = Vec::new();
    let server: SocketAddr = "10.0.0.1:3306".parse().unwrap();
    proxy::put_header(&mut header, client.parse().unwrap(), server);
    header
}

fn user_over(stream: TcpStream) -> String {
    let mut raw = Raw::over(Box::new(stream));
    let reply = raw.try_login(USER, PASSWORD, "shop", capabilities());
    assert_eq!(reply.error(), None, "{}", reply.text());
    raw.query("SELECT USER()");
    let mut replies = (0..5).map(|_| raw.receive());
    replies.nth(3).unwrap().text()
}

#[test]
fn the_client_that_the_header_names_is_the_one_that_counts() {
    let setup = setup(Duration::from_secs(10));
    for header in [
        version_2("10.0.0.7:1234"),
        version_2("[::ffff:10.0.0.7]:1234"),
        b"PROXY TCP4 10.0.0.7 10.0.0.1 1234 3306\r\n".to_vec(),
    ] {
        let user = user_over(balancer(&setup, &header));
        assert!(user.ends_with("app@10.0.0.7"), "{user}");
    }
    // In pieces.
    let header = version_2("10.0.0.8:1234");
    let mut stream = balancer(&setup, &header[..9]);
    stream.set_nodelay(true).unwrap();
    for byte in &header[9..] {
        stream.write_all(&[*byte]).unwrap();
    }
    assert!(user_over(stream).ends_with("app@10.0.0.8"));
    // The whitelist judges the client, not the balancer.
    let refused = setup.counters().refused_whitelist;
    let mut stranger = balancer(&setup, &version_2("10.0.1.7:1234"));
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stranger, &mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.contains("Host '10.0.1.7' is not allowed"),
        "{answer}"
    );
    assert_eq!(setup.counters().refused_whitelist, refused + 1);
    // A health check is the balancer itself, which is not on the list.
    let mut check = balancer(&setup, b"PROXY UNKNOWN\r\n");
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut check, &mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.contains("Host '127.0.0.9' is not allowed"),
        "{answer}"
    );
    assert_eq!(setup.counters().refused_proxy_header, 0);
}

#[test]
fn without_a_right_header_there_is_no_way_in() {
    let setup = setup(Duration::from_millis(300));
    let behind = [version_2("10.0.0.7:1234"), b"more".to_vec()].concat();
    for (wrong, header) in [&b"GET / HTTP/1.1\r\n\r\n"[..], &behind, b""]
        .iter()
        .enumerate()
    {
        let mut stream = balancer(&setup, header);
        let mut answer = Vec::new();
        // Closed at once, or when the login's time is over. It may be a reset.
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        assert_eq!(answer, b"");
        let counted = || setup.counters().refused_proxy_header == wrong as u64 + 1;
        eventually("it is counted", counted);
    }
    assert_eq!(setup.sessions(), 0);
    // Nobody else may send one.
    let mut client = TcpStream::connect(setup.address).unwrap();
    client.write_all(&version_2("10.0.0.7:1234")).unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client, &mut answer);
    assert!(!answer.windows(7).any(|part| part == b"MariaDB"), "greeted");
    assert!(user_over(TcpStream::connect(setup.address).unwrap()).ends_with("app@127.0.0.1"));
}

#[test]
fn balancers_that_wait_do_not_stop_the_gateway_from_stopping() {
    let setup = setup(Duration::from_secs(3600));
    let mut waiting = balancer(&setup, b"PROXY ");
    setup.gateway.drain(Duration::from_secs(5));
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut waiting, &mut answer);
    assert_eq!(answer, b"");
}
