//! Policy documents of RAM users, which grant and deny.

use std::net::IpAddr;

use jiff::Timestamp;
use openpeta_control::ram::Resource;
use openpeta_control::ram::policy::{MAX_DOCUMENT_BYTES, Policy, Request};

use super::byte;

const ALLOW_ALL: &str =
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const DENY_ALL: &str =
    r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

/// Some bits of who asks, then a document. Whatever is in it: a deny wins wherever it stands, an
/// allow takes nothing away, and both ways of deciding agree.
pub(crate) fn run(bytes: &[u8]) {
    let (who, document) = byte(bytes);
    let document = String::from_utf8_lossy(document);
    let Ok(policy) = Policy::parse(&document) else {
        return;
    };
    assert!(document.len() <= MAX_DOCUMENT_BYTES);
    let known = |text| Policy::parse(text).expect("a policy");
    let address: IpAddr = match who & 4 {
        0 => [10, 1, 2, who].into(),
        _ => [0xFD00, 0, 0, 0, 0, 0, 0, u16::from(who)].into(),
    };
    let request = Request {
        action: ["petadata:DescribeInstances", "petadata:DeleteInstance"][usize::from(who & 1)],
        source_ip: address,
        secure_transport: who & 2 != 0,
        now: Timestamp::from_second(1_547_712_000 + i64::from(who) * 86_400).expect("a time"),
    };
    for instance in ["*", "pd-0123456789abcdef"] {
        let resource = Resource {
            region: "cn-hangzhou",
            account: "1234567890123456",
            instance,
        };
        let allows = |policies: [&Policy; 2]| {
            let joined = Policy::join(policies.map(Clone::clone));
            joined.decide(&request, &resource).is_allowed
        };
        let decision = policy.decide(&request, &resource);
        let allowed = decision.is_allowed;
        assert_eq!(policy.applicable(&request).allows(&resource), allowed);
        assert!(!allowed || decision.decided_by.is_some());
        assert_eq!(allows([&policy, &policy]), allowed);
        let (all, none) = (known(ALLOW_ALL), known(DENY_ALL));
        let denied = !allowed && decision.decided_by.is_some();
        assert_eq!(allows([&policy, &all]), !denied);
        assert_eq!(allows([&all, &policy]), !denied);
        assert!(!allows([&policy, &none]) && !allows([&none, &policy]));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let conditions = r#"{"Version": "1", "Statement": [
        {"Sid": "a", "Effect": "Allow", "Action": ["petadata:Describe*", "petadata:*Instance"],
         "Resource": ["acs:petadata:cn-*:*:dbinstance/pd-?123*", "acs:petadata:*:*:*"],
         "Condition": {"IpAddress": {"acs:SourceIp": ["10.0.0.0/8", "fd00::/8"]},
                       "Bool": {"acs:SecureTransport": "true"},
                       "DateLessThan": {"acs:CurrentTime": "2019-03-01T00:00:00Z"}}},
        {"Effect": "Deny", "NotAction": "petadata:Describe*", "Resource": "*",
         "Condition": {"NotIpAddress": {"acs:SourceIp": "10.1.2.0/24"}}}]}"#;
    [
        ALLOW_ALL,
        DENY_ALL,
        conditions,
        r#"{"Version":"1","Statement":{}}"#,
    ]
    .into_iter()
    .flat_map(|text| [0, 3, 7].map(|who| [&[who], text.as_bytes()].concat()))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_get_far() {
        let taken = seeds().into_iter().filter(|seed| {
            let document = String::from_utf8_lossy(&seed[1..]);
            Policy::parse(&document).is_ok()
        });
        assert_eq!(taken.count(), 9);
    }
}
