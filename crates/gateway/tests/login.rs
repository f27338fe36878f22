//! Logins through the gateway with stock clients, and what they see of themselves.

use std::fs;
use std::io::Write;

use crate::support::{
    OTHER_PASSWORD, OTHER_USER, PASSWORD, Raw, Setup, USER, capabilities, connect_from, eventually,
    stderr, success, tls,
};
use mysql_async::prelude::Queryable;
use openpeta_gateway::GatewayConfig;
use openpeta_mysql_wire::auth::sha2;

#[test]
fn the_command_line_client_logs_in_and_sees_its_own_address() {
    let setup = Setup::start();
    let shown = success(
        setup
            .client()
            .args(["-e", "SELECT USER(), CURRENT_USER(), DATABASE()"]),
    );
    assert_eq!(shown, "app@127.0.0.1\tapp@%\tshop\n");
    let counters = setup.counters();
    assert_eq!((counters.accepted, counters.failed_logins), (1, 0));
    assert!(counters.bytes_in > 50 && counters.bytes_out > 100);
    eventually("the session is counted out", || setup.sessions() == 0);
    assert!(setup.counters().commands >= 2);
}

#[test]
fn tls_clients_verify_the_certificate_and_large_results_are_whole() {
    let (config, certificate) = tls();
    let setup = Setup::with(GatewayConfig {
        tls: Some(config),
        ..GatewayConfig::default()
    });
    let ca = setup.node.directory().join("ca.pem");
    fs::write(&ca, certificate).unwrap();
    for version in ["TLSv1.2", "TLSv1.3"] {
        let shown = success(
            setup
                .client()
                .args([
                    "--ssl-verify-server-cert",
                    "--tls-version",
                    version,
                    "--ssl-ca",
                ])
                .arg(&ca)
                .args(["-e", "STATUS; SELECT REPEAT('x', 5000000)"]),
        );
        // Only ciphers of version 1.3 have names that begin so.
        let cipher = shown
            .split("Cipher in use is ")
            .nth(1)
            .expect("TLS is in use");
        assert_eq!(
            cipher.starts_with("TLS_"),
            version == "TLSv1.3",
            "{cipher:.40}"
        );
        assert!(shown.contains(&"x".repeat(5_000_000)));
        // And a large statement the other way.
        let mut script = tempfile::NamedTempFile::new().unwrap();
        write!(script, "SELECT LENGTH('{}')", "y".repeat(5_000_000)).unwrap();
        let length = success(
            setup
                .client()
                .args(["--ssl", "--max-allowed-packet=32M", "--ssl-ca"])
                .arg(&ca)
                .stdin(script.reopen().unwrap()),
        );
        assert_eq!(length, "5000000\n");
    }
    // Without TLS the same endpoint serves too, and after it was taken back only so.
    success(setup.client().args(["--skip-ssl", "-e", "SELECT 1"]));
    setup.gateway.reload_tls(None);
    let mut client = setup.client();
    client.args(["--ssl", "--ssl-verify-server-cert", "-e", "SELECT 1"]);
    assert!(stderr(&client.output().unwrap()).contains("SSL"));
    success(setup.client().args(["--skip-ssl", "-e", "SELECT 1"]));
}

#[test]
fn wrong_passwords_and_unknown_accounts_are_refused_alike() {
    let setup = Setup::start();
    for (user, password) in [
        (USER, "wrong"),
        ("nobody", PASSWORD),
        (OTHER_USER, PASSWORD),
    ] {
        let output = setup
            .client_as(user, password)
            .args(["-e", "SELECT 1"])
            .output()
            .unwrap();
        let expected = format!(
            "ERROR 1045 (28000): Access denied for user '{user}'@'127.0.0.1' (using password: YES)"
        );
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    }
    // The password of the node's own account is of no use to a client.
    let output = setup
        .client_as(USER, "backend-app")
        .args(["-e", "SELECT 1"])
        .output()
        .unwrap();
    assert!(stderr(&output).contains("ERROR 1045"));
    eventually("all are counted", || setup.counters().failed_logins == 4);
    // A database that is closed to the account is the node's to refuse.
    let mut raw = Raw::greeted(setup.address);
    let reply = raw.try_login(USER, PASSWORD, "mysql", capabilities());
    assert_eq!(reply.error(), Some(1044), "{}", reply.text());
    assert_eq!(raw.rest(), b"");
    eventually("nothing is left", || setup.sessions() == 0);
}

#[test]
fn caching_sha2_clients_log_in_without_the_full_exchange() {
    let setup = Setup::start();
    let mut raw = Raw::greeted(setup.address);
    let login = openpeta_mysql_wire::Login {
        capabilities: capabilities(),
        max_packet_size: 1 << 24,
        charset: 45,
        filler: [0; 19],
        user: USER.into(),
        auth_response: sha2::response(PASSWORD.as_bytes(), &raw.greeting.nonce),
        database: Some("shop".into()),
        plugin: Some(sha2::NAME.into()),
        attributes: None,
        zstd_level: None,
    };
    let mut payload = Vec::new();
    login.encode(&mut payload);
    raw.send(1, &payload);
    assert_eq!(raw.receive().payload, [1, 3]);
    assert_eq!(raw.receive().payload[0], 0);
    assert_eq!(raw.execute("SET @a = 1").payload[0], 0);
}

#[test]
fn the_node_sees_each_clients_true_address() {
    let setup = Setup::start();
    let mut clients = Vec::new();
    for from in ["127.0.0.2", "127.0.0.77"] {
        let stream = connect_from(from, setup.address);
        let local = stream.local_addr().unwrap();
        let mut raw = Raw::over(Box::new(stream));
        let reply = raw.try_login(USER, PASSWORD, "shop", capabilities());
        assert_eq!(reply.error(), None, "{}", reply.text());
        raw.query("SELECT USER()");
        for _ in 0..3 {
            raw.receive();
        }
        // A row of one text, behind a byte for its length.
        assert_eq!(
            raw.receive().payload[1..],
            *format!("app@{from}").as_bytes()
        );
        clients.push((raw, local));
    }
    let list = setup
        .node
        .administer("SELECT HOST FROM information_schema.PROCESSLIST");
    for (_, local) in &clients {
        assert!(
            list.lines().any(|host| host == local.to_string()),
            "{local} not in {list}"
        );
    }
}

#[tokio::test]
async fn mysql_async_logs_in_and_changes_user() {
    let setup = Setup::start();
    let mut conn = setup.connect().await;
    let shown: Option<(String, u32)> = conn
        .query_first("SELECT USER(), CONNECTION_ID()")
        .await
        .unwrap();
    assert_eq!(shown, Some(("app@127.0.0.1".to_owned(), conn.id())));
    conn.query_drop("CREATE TEMPORARY TABLE scrap (a INT)")
        .await
        .unwrap();
    conn.query_drop("SET @kept = 1").await.unwrap();
    assert!(conn.reset().await.unwrap());
    let kept: Option<Option<i64>> = conn.query_first("SELECT @kept").await.unwrap();
    assert_eq!(kept, Some(None));
    let other = mysql_async::ChangeUserOpts::new()
        .with_user(Some(OTHER_USER.to_owned()))
        .with_pass(Some(OTHER_PASSWORD.to_owned()))
        .with_db_name(Some("shop".to_owned()));
    conn.change_user(other).await.unwrap();
    let shown: Option<String> = conn.query_first("SELECT CURRENT_USER()").await.unwrap();
    assert_eq!(shown.as_deref(), Some("other@%"));
    let wrong = mysql_async::ChangeUserOpts::new()
        .with_user(Some(USER.to_owned()))
        .with_pass(Some("wrong".to_owned()));
    assert!(conn.change_user(wrong).await.is_err());
    // As on a direct connection, the session is still the old account's.
    let shown: Option<String> = conn.query_first("SELECT CURRENT_USER()").await.unwrap();
    assert_eq!(shown.as_deref(), Some("other@%"));
    conn.disconnect().await.unwrap();
    eventually("the sessions are gone", || setup.sessions() == 0);
}
