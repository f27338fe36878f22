//! Metrics: who may read them, where, and in which form.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::support::TestService;
use crate::support::client::{Reply, exchange};

const TOKEN: &str = "correct-horse-battery-staple";

fn get(address: SocketAddr, path: &str, headers: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    exchange(address, request.as_bytes())
}

fn write_token(token: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{token}\n")).expect("write");
    (dir, file)
}

#[test]
fn an_address_of_their_own_takes_them_off_the_api() {
    let service = TestService::start_with(|config| {
        config.metrics.listen = Some(([127, 0, 0, 1], 0).into());
    });
    assert_eq!(get(service.http, "/metrics", "").status, 404);
    let own = service.metrics_address();
    let reply = get(own, "/metrics", "");
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("\nopenpeta_ready 1\n"));
    assert_eq!(get(own, "/readyz", "").text(), "ready\n");
    // Nothing of the API is there.
    let query = service.form("GET", "DescribeRegions", &[]);
    for path in ["/", "/api", &format!("/?{query}")] {
        assert_eq!(get(own, path, "").status, 404, "{path}");
    }
}

#[test]
fn a_token_is_asked_for_and_can_be_changed() {
    let (_dir, file) = write_token(TOKEN);
    let service = TestService::start_with(|config| config.metrics.token_file = Some(file.clone()));
    let with = |token: &str| {
        let headers = format!("authorization: Bearer {token}\r\n");
        get(service.http, "/metrics", &headers)
    };
    let refused = get(service.http, "/metrics", "");
    assert_eq!(refused.status, 401);
    assert!(!refused.text().contains("openpeta_"));
    assert_eq!(with("wrong-horse-battery-staple").status, 401);
    assert_eq!(with(TOKEN).status, 200);
    assert!(
        with(TOKEN)
            .text()
            .contains("\nopenpeta_scrapes_refused_total 2\n")
    );

    std::fs::write(&file, "another-horse-altogether").expect("write");
    service.reload();
    assert_eq!(with(TOKEN).status, 401);
    assert_eq!(with("another-horse-altogether").status, 200);
    std::fs::write(&file, "short").expect("write");
    service.reload();
    assert_eq!(with("short").status, 401);
    assert_eq!(with("another-horse-altogether").status, 200);
}

#[test]
fn who_asks_for_open_metrics_gets_them() {
    let service = TestService::start();
    let plain = get(service.http, "/metrics", "");
    let plain_type = plain.header("content-type").map(str::to_owned);
    assert_eq!(
        plain_type.as_deref(),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(
        plain
            .text()
            .contains("# TYPE openpeta_scrapes_total counter\n")
    );
    let accept = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let open = get(service.http, "/metrics", accept);
    let open_type = open.header("content-type").map(str::to_owned);
    let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open_type.as_deref(), Some(expected));
    assert!(open.text().contains("# TYPE openpeta_scrapes counter\n"));
    assert!(open.text().ends_with("\n# EOF\n"));
    // Both have the same series.
    let series = |reply: &Reply| {
        let text = reply.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let names = lines.filter_map(|line| line.rsplit_once(' '));
        names.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(series(&plain), series(&open));
}
