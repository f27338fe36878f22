//! Damaged requests: an error of the API or a closed connection, never a failure, never a hang.

use crate::support::client::Connection;
use crate::support::{TestService, acs3, code_of};

/// A small generator; the seed makes every run the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Damages a request in one to three places.
fn mutate(request: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(request.len());
        let byte = (random.next() & 0xff) as u8;
        match random.below(6) {
            0 => request[at] = byte,
            1 => request.insert(at, byte),
            2 => drop(request.remove(at)),
            3 => request[at] ^= 1 << random.below(8),
            4 => {
                // A piece of the request once more.
                let end = (at + 1 + random.below(40)).min(request.len());
                let piece = request[at..end].to_vec();
                request.splice(at..at, piece);
            }
            _ => {
                let special = b"%&=+?/:\r\n\0\"<; ";
                request[at] = special[random.below(special.len())];
            }
        }
    }
}

#[test]
fn ten_thousand_damaged_requests() {
    let service = TestService::start_with(|config| {
        // A damaged length leaves the server waiting for bytes that never come.
        config.api.limits.first_request_seconds = 1;
        config.api.limits.body_seconds = 1;
        config.api.throttle.changes_per_second = 0;
    });
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let mut random = Random(0x2016_0101_dead_beef);
    let (mut refused, mut accepted, mut closed) = (0, 0, 0);
    for round in 0..10_000 {
        let parameters = [("InstanceId", "pd-none"), ("NewInstanceName", "a b*~/+%&=")];
        let mut request = match round % 3 {
            0 => {
                let query =
                    service.form("GET", "DescribeInstances", &[("RegionId", "cn-hangzhou")]);
                format!("GET /?{query} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes()
            }
            1 => {
                let body = service.form("POST", "ModifyInstanceName", &parameters);
                let length = body.len();
                format!(
                    "POST / HTTP/1.1\r\nhost: a\r\n{form}content-length: {length}\r\n\r\n{body}"
                )
                .into_bytes()
            }
            _ => acs3(
                &service.key,
                "POST",
                "ModifyInstanceName",
                &parameters,
                b"",
                &[],
            ),
        };
        mutate(&mut request, &mut random);
        let mut connection = Connection::open(service.http);
        connection.send(&request);
        // Half of the damaged lengths would wait for more; this says that nothing follows.
        connection
            .stream
            .shutdown(std::net::Shutdown::Write)
            .expect("shutdown");
        match connection.try_receive() {
            None => closed += 1,
            Some(reply) => {
                let shown = String::from_utf8_lossy(&request);
                assert!(reply.status < 500, "{shown}\n{reply:?}");
                match code_of(&reply).as_str() {
                    "OK" => accepted += 1,
                    _ => refused += 1,
                }
            }
        }
    }
    assert!(
        refused > 8_000,
        "{refused} refused, {accepted} accepted, {closed} closed"
    );
    assert_eq!(
        code_of(&service.get("DescribeRegions", &[])),
        "OK",
        "all is well afterwards"
    );
}
